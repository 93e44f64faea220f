"""Evaluation of a task on whole data sets."""
