"""Places on the earth: distances, adaptive cells of the sphere, a map of the world."""
