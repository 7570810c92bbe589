"""Presets: settings of the network and of training that belong together, under one name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from nerv_clip.errors import InputError
from nerv_clip.models.config import ModelConfig
from nerv_clip.training.config import TrainConfig

Changes = Mapping[str, Any]  # fields and their values

# The classic networks are trained as their papers do, by Adam and L2.
_CLASSIC: Changes = {
    "loss": "L2",
    "lr": 1e-3,
    "lr_type": "cosine_0.1_1_0.1",
    "motion_weight": 0.0,
    "optim": "adam",
}
# What each preset changes of the defaults, in `ModelConfig` and in `TrainConfig`. `fast` and `best`
# let the last layers work on fewer or on more cells; `hnerv` and `nerv` are baselines.
PRESETS: dict[str, tuple[Changes, Changes]] = {
    "default": ({}, {}),
    "fast": ({"head_cells": 4_000}, {}),
    "best": ({"head_cells": 250_000}, {}),
    "hnerv": (
        {
            "embed": "",
            "enc_strds": (5, 2, 2, 2),
            "enc_dim": (64, 16),
            "conv_type": ("convnext", "pshuffel"),
            "ks": (0, 1, 5),
            "motion": False,
        },
        _CLASSIC,
    ),
    "nerv": (
        {
            "embed": "pe_1.25_80",
            "head_strd": 1,
            "conv_type": ("convnext", "pshuffel"),
            "ks": (0, 3, 3),
            "reduce": 2.0,
            "motion": False,
        },
        _CLASSIC,
    ),
}


def preset(name: str) -> tuple[ModelConfig, TrainConfig]:
    """The settings of a preset; raises `InputError` for an unknown name.

    >>> model, config = preset("fast")
    >>> model.head_cells
    4000
    """
    if name not in PRESETS:
        raise InputError(f"`preset` {name} is unknown: choose from {', '.join(PRESETS)}")
    model, train = PRESETS[name]
    return replace(ModelConfig(), **model), replace(TrainConfig(), **train)
