"""Images in: sources, decoding and augmentation, and the pipeline of batches."""
