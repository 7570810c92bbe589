"""The frozen CLIP model, and its embeddings of frames and texts.

- ``names``: names of teachers and files of a teacher's folder, without torch
- ``preprocessing``: open_clip's preprocessing of tensor batches
- ``encoder``: `ClipEncoder`: images and texts to embeddings
- ``loading``: load a teacher through open_clip
- ``towers``: image towers, read cell by cell
- ``dense``: `DenseTeacher`: frames to embeddings on a grid of cells
- ``dense_maps``: the dense embeddings of a video in low rank, cached
- ``embeddings``: the true embeddings of a video, cached
"""
