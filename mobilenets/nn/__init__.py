"""The Linen modules that turn a spec into a network."""
