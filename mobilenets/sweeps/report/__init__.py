"""The page that shows what a sweep has found."""
