"""The solver: model size within 2 % for any frame size, and invalid configurations."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nerv_clip.cli import parse
from nerv_clip.errors import InputError
from nerv_clip.models.config import Architecture, ModelConfig
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.parameters import count, decoder_parameters
from nerv_clip.models.solver import solve


@settings(max_examples=60, deadline=None)
@given(
    st.integers(16, 2200),
    st.integers(16, 4100),
    st.floats(0.3, 12),
    st.integers(1, 1500),
    st.sampled_from(["xyt_40_20_20", "pe_1.25_80"]),
)
def test_any_frame_size_meets_the_model_size_within_2_percent(
    height: int, width: int, modelsize: float, frames: int, embed: str
) -> None:
    arch = solve(ModelConfig(modelsize=modelsize, embed=embed), frames, frames, height, width)
    assert abs(count(arch) / (modelsize * 1e6) - 1) < 0.02
    rows, columns = arch.padded
    assert rows >= height
    assert columns >= width


def test_count_matches_the_parameters_of_the_network() -> None:
    config = ModelConfig(modelsize=0.3, predict_clip=True, clip_dim=16)
    arch = solve(config, 20, 20, 45, 61)
    model = NeRVClip(arch)
    head = model.head("clip")
    assert head is not None
    everything = sum(p.numel() for p in model.parameters())
    assert (
        count(arch)
        == decoder_parameters(model)
        == everything - sum(p.numel() for p in head.parameters())
    )


@pytest.mark.parametrize("size", [0.02, 0.05, 0.1, 0.2])
def test_small_model_sizes_are_not_exceeded(size: float) -> None:
    arch = solve(ModelConfig(modelsize=size, lower_width=4), 24, 24, 48, 80)
    assert 0.9 < count(arch) / (size * 1e6) <= 1


def test_stored_latents_and_embeddings_are_counted() -> None:
    latents = ModelConfig(modelsize=0.3, embed="", enc_strds=(4, 2, 2), enc_dim=(16, 4))
    arch = solve(latents, 30, 20, 64, 96)
    model = NeRVClip(arch)
    assert model.table is not None
    assert model.table.values.shape == (20, 4, *arch.grid)
    assert model.encoder is not None
    without = sum(p.numel() for p in model.parameters()) - sum(
        p.numel() for p in model.encoder.parameters()
    )
    assert count(arch) == without + model.table.values.numel()
    arch = solve(ModelConfig(modelsize=0.3, clip_input=True, clip_dim=512), 30, 20, 64, 96)
    predecessor = NeRVClip(arch)
    assert predecessor.table is not None
    assert predecessor.table.values.numel() == 20 * 512
    assert abs(count(arch) / 3e5 - 1) < 0.02


def test_long_video_has_coarser_temporal_grids() -> None:
    arch = solve(ModelConfig(modelsize=0.3), 20_000, 20_000, 180, 320)
    cells = arch.grid[0] * arch.grid[1]
    assert sum(steps * channels * cells for steps, channels in arch.grids) < 0.35 * 3e5
    assert arch.grids[0][0] < 20_000 / 2


def test_given_strides_and_grid_are_used() -> None:
    arch = solve(ModelConfig(modelsize=0.3, dec_strds=(5, 2, 2), grid=(3, 5)), 9, 9, 57, 95)
    assert arch.strides == (5, 2, 2)
    assert arch.grid == (3, 5)
    assert arch.padded == (60, 100)


@pytest.mark.parametrize(
    ("size", "best", "default", "fast"),
    [
        ((160, 320), 1, 2, 4),
        ((360, 640), 1, 4, 4),
        ((720, 1280), 2, 4, 4),
        ((2160, 3840), 4, 4, 4),
    ],
)
def test_rgb_head_up_samples_large_frames(
    size: tuple[int, int], best: int, default: int, fast: int
) -> None:
    for preset, expected in (("best", best), ("default", default), ("fast", fast)):
        config = parse(["--data_path", "x", "--preset", preset]).model
        assert solve(config, 9, 9, *size).head_stride == expected


def test_architecture_is_restored_from_plain_values() -> None:
    arch = solve(ModelConfig(modelsize=0.3), 9, 9, 57, 95)
    assert Architecture.from_plain(arch.plain()) == arch
    with pytest.raises(InputError, match="another version"):
        Architecture.from_plain({**arch.plain(), "surprise": 1})


@pytest.mark.parametrize(
    ("config", "match"),
    [
        (ModelConfig(modelsize=0.0001), "too small"),
        (ModelConfig(modelsize=-1), "`modelsize`"),
        (ModelConfig(modelsize=float("nan")), "`modelsize`"),
        (ModelConfig(embed=""), "`embed`"),
        (ModelConfig(act="tanhh"), "`act`"),
        (ModelConfig(norm="ln"), "`norm`"),
        (ModelConfig(conv_type=("convnext", "magic")), "`conv_type`"),
        (ModelConfig(out_bias="x"), "`out_bias`"),
        (ModelConfig(reduce=0), "`reduce`"),
        (ModelConfig(ks=(0, 0, 5)), "`ks`"),
        (ModelConfig(ks=(0, 2, 5)), "odd"),
        (ModelConfig(ks=(-3, 1, 5)), "`ks` -3_1_5"),
        (ModelConfig(dec_strds=(2, 2), grid=(2, 2)), "less than the frame"),
        (ModelConfig(enc_strds=(4, 2), dec_strds=(5, 2)), "same product"),
        (ModelConfig(enc_strds=(4, 2, 2), enc_dim=(8, 1e-9)), "`enc_dim`"),
        (ModelConfig(clip_input=True, predict_clip=True, clip_dim=16), "exclude"),
        (ModelConfig(predict_clip=True, clip_dim=16, clip_tap=9), "`clip_tap`"),
    ],
)
def test_invalid_configurations_raise_input_error(config: ModelConfig, match: str) -> None:
    with pytest.raises(InputError, match=match):
        solve(config, 12, 12, 48, 80)


def test_instance_norm_of_a_single_cell_raises_input_error() -> None:
    config = ModelConfig(embed="", enc_strds=(5, 4, 2), conv_type=("conv", "conv"), norm="in")
    assert solve(config, 12, 12, 80, 40).grid == (2, 1)
    with pytest.raises(InputError, match="`norm` in"):
        solve(config, 12, 12, 40, 40)


@pytest.mark.parametrize("size", [(45, 61), (11, 200), (97, 33)])
def test_decoded_frames_have_the_size_of_the_video(size: tuple[int, int]) -> None:
    arch = solve(ModelConfig(modelsize=0.3), 5, 5, *size)
    frames = NeRVClip(arch)(torch.tensor([0.0, 1.0], dtype=torch.float64)).frames
    assert frames.shape == (2, 3, *size)
