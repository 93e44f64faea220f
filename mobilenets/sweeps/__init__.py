"""Many runs that differ in a few values, and what they show together."""
