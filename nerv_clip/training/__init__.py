"""Training in memory: the trainer, its losses and optimisers.

- ``config``: `TrainConfig`
- ``presets``: settings that belong together, by name
- ``builder``: networks that are ready to be trained
- ``data``: the train frames, their times and embeddings
- ``objectives``: the terms of the loss, as a table
- ``losses``: pixel losses, CLIP loss, spherical interpolation
- ``optimisers``: Muon and Adam, by parameter group
- ``schedules``: learning rates
- ``trainer``: `Trainer`: a generator of epochs that can be saved at any step
- ``segments``: `SegmentTraining`: the trainers of all segments, side by side
- ``threads``: PyTorch's threads, shared among segments
- ``running_means``: means over an epoch
- ``weight_average``: averaged weights
- ``results``: `EpochResult` and `Step`
- ``distributed``: several processes
- ``state``: check a saved training state
- ``older_states``: the training state of older checkpoints
"""
