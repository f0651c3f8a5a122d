"""How good the views are: protocol, metrics, baselines, report."""
