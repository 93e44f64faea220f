"""Other libraries of networks: a file each, with its models and names."""
