"""Positional encodings: shape, range, band limit, precision."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nerv_clip.errors import InputError
from nerv_clip.models.encodings import (
    CoordinateEncoding,
    TimeEncoding,
    band,
    build_encoding,
    embed_width,
)


def times(frames: int) -> torch.Tensor:
    return torch.linspace(0, 1, frames, dtype=torch.float64)


def test_default_encoding_has_160_features_per_cell() -> None:
    encoding = build_encoding("xyt_40_20_20", 33, (4, 8))
    assert encoding is not None
    out = encoding(times(33))
    assert out.shape == (33, 160, 4, 8)
    assert out.dtype == torch.float32
    assert out.abs().max() <= 1
    # time is the same in every cell, space at every time, and all cells differ
    assert torch.equal(out[:, :80], out[:, :80, :1, :1].expand(-1, -1, 4, 8))
    assert torch.equal(out[:, 80:], out[:1, 80:].expand(33, -1, -1, -1))
    cells = out[0, 80:].flatten(1).T
    assert torch.pdist(cells).min() > 0.1


@given(st.integers(1, 400), st.integers(1, 64))
def test_no_frequency_is_above_nyquist(samples: int, count: int) -> None:
    frequencies = band(count, samples)
    assert frequencies.shape == (count,)
    # the Nyquist frequency is half a turn from one sample to the next
    assert frequencies.max() <= math.pi * max(samples - 1, 1) + 1e-6


def test_highest_frequency_in_time_can_be_divided() -> None:
    whole, quarter = (build_encoding(name, 33, (4, 8)) for name in ("xyt_5_2_3", "xyt_5_2_3_4"))
    assert isinstance(whole, CoordinateEncoding)
    assert isinstance(quarter, CoordinateEncoding)
    assert whole.frequencies[[0, -1]].tolist() == pytest.approx([math.pi, 32 * math.pi])
    assert quarter.frequencies[[0, -1]].tolist() == pytest.approx([math.pi, 8 * math.pi])
    assert torch.equal(whole.space, quarter.space)


def test_neighbouring_frames_have_similar_encodings() -> None:
    frames = 132
    ours = CoordinateEncoding(frames=frames, grid=(1, 1), counts=(40, 20, 20))(times(frames))[
        :, :80, 0, 0
    ]
    classic = TimeEncoding(base=1.25, levels=80)(times(frames))[:, :, 0, 0]
    near = [torch.cosine_similarity(x[:-1], x[1:]).mean().item() for x in (ours, classic)]
    assert near[0] > 0.5 > near[1]


def test_time_encoding_is_computed_in_float64() -> None:
    """1.25^79 is about 4.5e7 half-turns: float32 would leave no correct digit of the angle."""
    t = 37 / 131
    out = TimeEncoding(base=1.25, levels=80)(torch.tensor([t], dtype=torch.float64))
    assert out.shape == (1, 160, 1, 1)
    for level in (0, 40, 79):
        angle = math.fmod(t * math.pi * 1.25**level, 2 * math.pi)
        assert out[0, level].item() == pytest.approx(math.sin(angle), abs=1e-6)
        assert out[0, 80 + level].item() == pytest.approx(math.cos(angle), abs=1e-6)


def test_names_of_encodings_are_parsed() -> None:
    assert embed_width("xyt_40_20_20") == embed_width("pe_1.25_80") == 160
    assert embed_width("xyt_40_20_20_4") == 160
    assert embed_width("") == 0
    assert build_encoding("", 10, (2, 2)) is None
    for wrong in (
        "xyt_1",
        "pe_a_b",
        "fourier",
        "xyt_-40_20_20",
        "xyt_4_2_2_0",
        "xyt_4_2_2_4_4",
        "pe_-1_80",
    ):
        with pytest.raises(InputError, match="`embed`"):
            embed_width(wrong)
