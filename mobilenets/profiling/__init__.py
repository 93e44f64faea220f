"""What a network costs here: layers, memory, latency."""
