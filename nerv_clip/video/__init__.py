"""Videos: read, write, split into train and held-out frames.

- ``spec``: which frames of a source are read, and at what size
- ``source_map``: from places in a frame to pixels of the source
- ``reader``: decode a file or a folder of images
- ``video``: `Video` and `load_video`
- ``shots``: `Shots`: the stretches between cuts
- ``cuts``: find the cuts
- ``frame_store``: decoded frames in memory or on disk
- ``times``: the time of a frame
- ``split``: train, held-out and unused frames
- ``writer``: images, videos, and the comparison video
- ``comparison``: read the comparison video, without torch
"""
