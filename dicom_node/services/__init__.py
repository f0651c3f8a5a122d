"""The use-cases, each with a ``run_once``."""
