"""Every value that a run can be given, checked before anything starts."""
