"""What is measured of a model on a whole data set."""
