"""The search of a network in a space of networks that share their weights."""
