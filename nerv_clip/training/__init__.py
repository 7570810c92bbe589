"""Training: the trainer, its losses and optimisers, and several processes at once."""
