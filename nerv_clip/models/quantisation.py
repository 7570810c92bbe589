"""Quantised weights, for smaller checkpoints."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nerv_clip.models.config import MAX_PARAMETERS

LEVELS = 127  # quantisation steps on each side of 0, with 8 bits


def pack(weights: Mapping[str, Tensor], bits: int) -> dict[str, Any]:
    """Quantise weights to ``bits``: 32 (unchanged), 16 (float16), or 8 (one deflated block).

    With 8 bits, each row (output channel) of a tensor with two or more dimensions has its own step
    size, its largest absolute weight / 127, so the error of a weight is at most half a step.
    Vectors and float64 tensors (times) are small and stay unchanged.
    """
    if bits == 32:
        return dict(weights)
    if bits == 16:
        return {k: v.half() if v.dtype == torch.float32 else v for k, v in weights.items()}
    rows = {k: v for k, v in weights.items() if v.dtype == torch.float32 and v.dim() > 1}
    steps = {name: value.flatten(1).abs().amax(1) / LEVELS for name, value in rows.items()}
    codes = b"".join(_codes(value, steps[name]) for name, value in rows.items())
    return {
        "codes": torch.frombuffer(bytearray(zlib.compress(codes, 9)), dtype=torch.uint8),
        "steps": steps,
        "shapes": {name: list(value.shape) for name, value in rows.items()},
        "rest": {name: value for name, value in weights.items() if name not in rows},
    }


def unpack(packed: Mapping[str, Any]) -> dict[str, Tensor]:
    """The inverse of `pack` for any number of bits: weights in float32 (and float64).

    Raises ValueError, or another exception of `nerv_clip.models.checkpoint.DAMAGED`, where sizes
    do not agree; no more than `MAX_PARAMETERS` codes are decompressed.
    """
    if "codes" not in packed:
        return {k: v.float() if v.dtype == torch.float16 else v for k, v in packed.items()}
    weights: dict[str, Tensor] = dict(packed["rest"])
    counts = {name: math.prod(shape) for name, shape in packed["shapes"].items()}
    codes = torch.split(_inflated(packed["codes"], sum(counts.values())), list(counts.values()))
    for (name, shape), values in zip(packed["shapes"].items(), codes, strict=True):
        steps = packed["steps"][name]
        if steps.shape != (shape[0],):
            raise ValueError(f"{name} has {tuple(steps.shape)} step sizes for {shape[0]} rows")
        weights[name] = (values.view(shape[0], -1) * steps[:, None]).view(shape)
    return weights


def shapes(packed: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of the weights that `unpack` gives, by name; nothing is decompressed."""
    stored = packed["rest"] if "codes" in packed else packed
    quantised = packed["shapes"] if "codes" in packed else {}
    found = {name: tuple(value.shape) for name, value in stored.items()}
    return found | {name: tuple(shape) for name, shape in quantised.items()}


def _inflated(deflated: Tensor, count: int) -> Tensor:
    """``count`` codes (int8); raises ValueError where the block holds another number of them."""
    if count > MAX_PARAMETERS or not deflated.is_contiguous():
        raise ValueError("the codes state an impossible size")
    inflater = zlib.decompressobj()
    raw = inflater.decompress(deflated.numpy().tobytes(), count + 1)
    if len(raw) != count or not inflater.eof:
        raise ValueError(f"the block does not hold {count} codes")
    return torch.frombuffer(bytearray(raw), dtype=torch.int8)


def _codes(value: Tensor, steps: Tensor) -> bytes:
    """The rows of a tensor as multiples of their step size, int8."""
    steps = torch.where(steps > 0, steps, 1)  # avoids 0 / 0 for a row of zeros
    codes = (value.flatten(1) / steps[:, None]).round().to(torch.int8)
    return codes.contiguous().cpu().numpy().tobytes()
