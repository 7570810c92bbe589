"""Checkpoint files: written atomically, read without executing code."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from nerv_clip.errors import InputError
from nerv_clip.files import atomic_write
from nerv_clip.models.archive import load_archive
from nerv_clip.models.config import MAX_PARAMETERS
from nerv_clip.models.encodings import build_encoding
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.parameters import without_memory
from nerv_clip.models.quantisation import pack, shapes, unpack
from nerv_clip.models.segments import VideoArchitecture
from nerv_clip.models.video_network import VideoNetwork

# what reading the content of a damaged or foreign checkpoint can raise
DAMAGED = (
    RuntimeError,
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    AttributeError,
    OverflowError,
    RecursionError,
    zlib.error,
)


def save_checkpoint(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors and plain values to a temporary file, then rename it to ``path``."""
    buffer = io.BytesIO()  # writing to a file, torch would not raise OSError for a full disk
    torch.save(dict(content), buffer)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())


def load_checkpoint(path: Path | str) -> dict[str, Any]:
    """Read a checkpoint on the CPU; no code in the file is executed.

    Raises `InputError` if the file is missing, damaged, or not a checkpoint of this program.
    """
    content = load_archive(Path(path))
    if not isinstance(content, dict) or "architecture" not in content:
        raise InputError(f"{path} is a PyTorch file, but not a checkpoint of this program")
    return content


def export_model(
    model: VideoNetwork | NeRVClip, path: Path, about: Mapping[str, Any], bits: int = 32
) -> None:
    """Write a checkpoint with all that decoding needs; encoders are left out.

    Each weight takes 32, 16 or 8 ``bits`` (`nerv_clip.models.quantisation`); `load_model` reads
    all three. ``about`` is added to the content.
    """
    video = VideoNetwork.of(model) if isinstance(model, NeRVClip) else model
    packed = [
        pack({k: v for k, v in network.state_dict().items() if not k.startswith("encoder.")}, bits)
        for network in video.networks
    ]
    save_checkpoint({"architecture": video.arch.plain(), "weights": packed, **about}, path)


def packed_weights(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The packed weights of each network in a checkpoint; older files have a single one."""
    weights = content["weights"]
    return weights if isinstance(weights, list) else [weights]


def load_model(path: Path | str, device: torch.device | str = "cpu") -> VideoNetwork:
    """Build the networks of a ``model_best.pth`` and load their weights, in evaluation mode.

    They have no encoder, so true frames cannot influence what they decode. Raises `InputError` if
    the file is missing, damaged, or of another version of this program.
    """
    content = load_checkpoint(path)
    try:
        arch = VideoArchitecture.from_plain(content["architecture"])
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    try:
        model = _video_network(arch, packed_weights(content))
    except DAMAGED:
        raise InputError(
            f"{path} is damaged or of another version of this program: its weights do not fit its "
            "architecture; train it again"
        ) from None
    return model.to(device).eval()


def _video_network(arch: VideoArchitecture, packed: Sequence[Mapping[str, Any]]) -> VideoNetwork:
    """The networks with these weights; memory for them is allocated after all sizes agree.

    Raises one of `DAMAGED` where they do not.
    """
    models = [without_memory(segment.network) for segment in arch.segments]
    parts = (part for model in models for part in (*model.parameters(), *model.buffers()))
    if sum(part.numel() for part in parts) > MAX_PARAMETERS:
        raise ValueError(f"the networks have over {MAX_PARAMETERS:,} parameters")
    networks = [_loaded(model, weights) for model, weights in zip(models, packed, strict=True)]
    return VideoNetwork(arch, networks)


def _loaded(model: NeRVClip, packed: Mapping[str, Any]) -> NeRVClip:
    """A network without memory with these weights."""
    arch = model.arch
    expected = model.state_dict()
    if shapes(packed) != {name: tuple(value.shape) for name, value in expected.items()}:
        raise ValueError("the weights have other names or shapes than the network")
    weights = unpack(packed)
    if any(weights[name].dtype != value.dtype for name, value in expected.items()):
        raise TypeError("the weights have another type than the network")
    model.load_state_dict(weights, assign=True)
    model.encoding = build_encoding(arch.embed, arch.frames, arch.grid)  # is not in the file
    return model.to(memory_format=torch.channels_last)
