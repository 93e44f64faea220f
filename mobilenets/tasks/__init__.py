"""Tasks: only here model, data, loss and metrics meet."""
