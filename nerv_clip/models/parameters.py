"""Count the parameters of a network."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import nn

from nerv_clip.models.config import Architecture
from nerv_clip.models.heads import HEADS
from nerv_clip.models.nerv_clip import NeRVClip


def decoder_parameters(*networks: NeRVClip) -> int:
    """Number of parameters needed to decode frames: without encoder, CLIP head and dense head.

    A table of latents or of true embeddings counts as parameters.
    """
    total = sum(_size(model) - _size(model.encoder) for model in networks)
    tables = (model.table.values.numel() for model in networks if model.table is not None)
    return total + sum(tables) - sum(head_parameters(*networks).values())


def head_parameters(*networks: NeRVClip) -> dict[str, int]:
    """Numbers of parameters of the heads that frames do not need, by name: 0 without the head.

    The basis of a dense head counts as parameters.
    """
    names = [head.name for head in HEADS if not head.draws]
    return {name: sum(_size(model.head(name)) for model in networks) for name in names}


def _size(part: nn.Module | None) -> int:
    return 0 if part is None else sum(p.numel() for p in part.parameters())


def without_memory(arch: Architecture) -> NeRVClip:
    """A network to count or compare, not to run: no memory is allocated. It has no encoder."""
    with torch.device("meta"):
        return NeRVClip(arch, with_encoder=False)


@lru_cache(maxsize=4096)  # the app repeats its estimate whenever a flag changes
def count(arch: Architecture) -> int:
    """`decoder_parameters` of an architecture, without allocating memory for it."""
    return decoder_parameters(without_memory(arch))
