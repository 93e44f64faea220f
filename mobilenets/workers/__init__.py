"""Processes that share a queue of jobs: the points of a sweep, or a search's."""
