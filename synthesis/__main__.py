"""``python -m synthesis``."""

from synthesis.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
