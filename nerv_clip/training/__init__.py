"""Training: the trainer, losses and their schedule, optimisers, distributed training."""
