"""The run directory: what training writes and everything else reads.

- ``run``: `Run`: paths, small files, the lock
- ``config``: `RunConfig`: config.json, typed and versioned
- ``older_configs``: upgrade older runs
- ``budget``: the time that a training may take, and the changes of its plan
- ``arrays``: read embeddings with checks
- ``inputs``: video, split and teacher of a run
- ``description``: describe a run for config.json
- ``run_training``: `RunTraining`: train into a directory, resume
- ``train``: the public `train`
- ``evaluation``: the public `evaluate`, and what it writes
- ``embedding_map``: a run's embeddings as a cached map
- ``tensorboard``: curves and pictures
- ``provenance``: versions and commit
"""
