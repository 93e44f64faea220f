"""What segmentation computes on arrays of pixels."""
