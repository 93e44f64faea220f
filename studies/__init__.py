"""Programs that write figures and pages into docs/: run each with `python -m`."""
