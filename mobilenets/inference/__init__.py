"""Trained networks: their folders, their description, what they predict."""
