"""Quantised weights, for smaller checkpoints."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

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
    """The inverse of `pack` for any number of bits: weights in float32 (and float64)."""
    if "codes" not in packed:
        return {k: v.float() if v.dtype == torch.float16 else v for k, v in packed.items()}
    weights: dict[str, Tensor] = dict(packed["rest"])
    raw = bytearray(zlib.decompress(packed["codes"].numpy().tobytes()))
    codes = torch.frombuffer(raw, dtype=torch.int8)
    offset = 0
    for name, shape in packed["shapes"].items():
        count = torch.Size(shape).numel()
        rows = codes[offset : offset + count].view(shape[0], -1)
        weights[name] = (rows * packed["steps"][name][:, None]).view(shape)
        offset += count
    return weights


def _codes(value: Tensor, steps: Tensor) -> bytes:
    """The rows of a tensor as multiples of their step size, int8."""
    steps = torch.where(steps > 0, steps, 1)  # avoids 0 / 0 for a row of zeros
    codes = (value.flatten(1) / steps[:, None]).round().to(torch.int8)
    return codes.contiguous().cpu().numpy().tobytes()
