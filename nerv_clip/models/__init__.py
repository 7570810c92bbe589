"""The network: settings, layers, decoding, and the checkpoint file.

- ``config``: `ModelConfig`, what is requested, and `Architecture`, what is built
- ``nerv_clip``: `NeRVClip`, in the order that data flows
- ``encodings``: positional encodings of (x, y, t)
- ``layers``: stems, up-blocks, RGB head
- ``temporal``: temporal grids and tables, interpolated within a shot
- ``heads``: the CLIP head and the motion head, as a table
- ``motion``: warp and blend neighbouring train frames
- ``segments``: `VideoArchitecture`: all networks of a video, and the frames of each
- ``video_network``: `VideoNetwork`: these networks as one
- ``sharing``: divide a video into segments, and share the parameters
- ``frame_encoder``: HNeRV's encoder, used in training only
- ``solver``: from a model size to architectures, with ``shape``, ``validation``, ``parameters``
- ``checkpoint``: read and write checkpoints
- ``quantisation``: weights in 32, 16 or 8 bits
"""
