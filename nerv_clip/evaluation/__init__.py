"""Evaluation: decode a checkpoint, score it, and compare it with baselines.

- ``decoding``: frames and embeddings of a network
- ``evaluate``: score a checkpoint against its video
- ``results``: `Metrics` and `Evaluation`
- ``interpolation``: nearest, linear and spherical interpolation
- ``baseline_frames``: the blend of neighbours, a perturbed frame
- ``projection``: embeddings in two dimensions
"""
