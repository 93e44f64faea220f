"""The process: start-up, devices, caches, memory, console."""
