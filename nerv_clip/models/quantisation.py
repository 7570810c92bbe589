"""Weights in fewer bits, for a checkpoint to be shipped."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

BITS = (32, 16, 8)
LEVELS = 127  # steps of 8 bits on each side of 0


def pack(weights: Mapping[str, Tensor], bits: int) -> dict[str, Any]:
    """Weights in ``bits``: 32 as they are, 16 as float16, 8 as one deflated block of codes.

    With 8 bits each row (an output channel) of a tensor of two or more dimensions has its own
    step, a 127th of its largest weight, so no weight is off by more than half a step. Vectors,
    and times in float64, are too few to be worth it and stay as they are.
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
    """The weights of `pack`, whatever its bits, as float32 (and float64) again."""
    if "codes" not in packed:
        return {k: v.float() if v.dtype == torch.float16 else v for k, v in packed.items()}
    weights: dict[str, Tensor] = dict(packed["rest"])
    raw = bytearray(zlib.decompress(packed["codes"].numpy().tobytes()))
    codes = torch.frombuffer(raw, dtype=torch.int8)
    at = 0
    for name, shape in packed["shapes"].items():
        count = torch.Size(shape).numel()
        rows = codes[at : at + count].view(shape[0], -1)
        weights[name] = (rows * packed["steps"][name][:, None]).view(shape)
        at += count
    return weights


def _codes(value: Tensor, steps: Tensor) -> bytes:
    steps = torch.where(steps > 0, steps, 1)  # a row of zeros
    codes = (value.flatten(1) / steps[:, None]).round().to(torch.int8)
    return codes.contiguous().cpu().numpy().tobytes()
