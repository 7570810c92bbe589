"""The network: settings, layers, decoding, and the checkpoint file.

- ``config``: `ModelConfig`, what is requested, and `Architecture`, what is built
- ``nerv_clip``: `NeRVClip`, in the order that data flows
- ``encodings``: positional encodings of (x, y, t)
- ``layers``: stems, up-blocks, temporal grids, RGB head
- ``heads``: the CLIP head and the motion head, as a table
- ``motion``: warp and blend neighbouring train frames
- ``frame_encoder``: HNeRV's encoder, used in training only
- ``solver``: from a model size to an `Architecture`, with ``shape``, ``validation``, ``parameters``
- ``checkpoint``: read and write checkpoints
- ``quantisation``: weights in 32, 16 or 8 bits
"""
