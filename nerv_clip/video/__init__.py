"""Videos: read, write, split into train and held-out frames, show beside their reconstruction."""
