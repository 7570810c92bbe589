"""Check a `ModelConfig` before a network is solved for it."""

from __future__ import annotations

import math
from collections.abc import Collection

from nerv_clip.errors import InputError
from nerv_clip.models.config import MAX_MODELSIZE, ModelConfig
from nerv_clip.models.encodings import embed_width
from nerv_clip.models.frame_encoder import ENCODER_STAGES
from nerv_clip.models.layers import ACTIVATIONS, NORMS, OUTPUT_ACTIVATIONS, UP_BLOCKS


def check_config(config: ModelConfig) -> None:
    """Raise `InputError` for unknown names, values out of range, and fields that conflict."""
    _check_names(config)
    _check_ranges(config)
    if config.enc_strds and config.head_strd and not config.dec_strds:
        raise InputError("`head_strd` with `enc_strds` needs `dec_strds`, with the same product")
    if not config.embed and not config.enc_strds:
        raise InputError("`embed` '' needs `enc_strds`: without coordinates, latents are the input")
    if config.clip_input and config.predict_clip:
        raise InputError("`clip_input` and `predict_clip` exclude each other: choose one")
    if config.predict_dense and not config.predict_clip:
        raise InputError("`predict_dense` needs `predict_clip`")
    if config.clip_input and config.enc_strds:
        raise InputError("`clip_input` takes no encoder: leave out `enc_strds`")


def _check_names(config: ModelConfig) -> None:
    known: list[tuple[str, str, Collection[str]]] = [
        ("act", config.act, ACTIVATIONS),
        ("norm", config.norm, NORMS),
        ("conv_type", config.conv_type[0], ENCODER_STAGES),
        ("conv_type", config.conv_type[1], UP_BLOCKS),
    ]
    for field, value, names in known:
        if value not in names:
            raise InputError(f"`{field}` {value} is unknown: choose from {', '.join(names)}")
    if config.out_bias not in OUTPUT_ACTIVATIONS:
        try:
            float(config.out_bias)
        except ValueError:
            raise InputError(
                f"`out_bias` {config.out_bias}: give tanh, sigmoid or a number"
            ) from None
    embed_width(config.embed)


def _check_ranges(config: ModelConfig) -> None:
    positive = {
        "modelsize": config.modelsize,
        "lower_width": config.lower_width,
        "stem_width": config.stem_width,
        "head_cells": config.head_cells,
        "enc_dim": min(config.enc_dim),
        "num_blks": min(config.num_blks),
        "ks": min(config.ks[1:]),
        "dec_strds": min(config.dec_strds or (1,)),
        "enc_strds": min(config.enc_strds or (1,)),
        "dense_rank": config.dense_rank,
        "clip_dim": config.clip_dim if config.predict_clip or config.clip_input else 1,
    }
    for field, number in positive.items():
        if not number > 0 or not math.isfinite(number):
            raise InputError(f"`{field}` {number} is out of range: give more than 0")
    if config.modelsize > MAX_MODELSIZE:
        raise InputError(
            f"`modelsize` {config.modelsize} is too large: give at most {MAX_MODELSIZE} "
            "(million parameters)"
        )
    kernels = "_".join(map(str, config.ks))
    if config.ks[0] < 0:
        raise InputError(f"`ks` {kernels}: the encoder's kernel must be 0 or more")
    if any(kernel % 2 == 0 for kernel in config.ks[1:]):
        raise InputError(f"`ks` {kernels}: the decoder's kernels must be odd")
    if config.segment_frames < 0:
        raise InputError(f"`segment_frames` {config.segment_frames} is out of range: 0 or more")
    if not 0.5 <= config.reduce <= 10:
        raise InputError(f"`reduce` {config.reduce} is out of range: 0.5 to 10")
    if not math.isfinite(config.enc_dim[1]):
        raise InputError(f"`enc_dim` {config.enc_dim[1]} is out of range: give a finite number")
