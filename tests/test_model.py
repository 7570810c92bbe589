"""The network: outputs, heads, tables, configurations, checkpoint files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from nerv_clip.errors import InputError
from nerv_clip.models.checkpoint import export_model, load_checkpoint, load_model
from nerv_clip.models.config import ModelConfig
from nerv_clip.models.frame_encoder import build_encoder
from nerv_clip.models.layers import UpBlock
from nerv_clip.models.nerv_clip import NeRVClip, Output
from nerv_clip.models.solver import solve
from nerv_clip.models.temporal import FrameTable, TemporalGrid

T = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64)


def network(**config: object) -> NeRVClip:
    torch.manual_seed(0)
    asked = ModelConfig(**{"modelsize": 0.1, "lower_width": 4, **config})  # type: ignore[arg-type]
    return NeRVClip(solve(asked, 12, 8, 45, 61)).eval()


def test_forward_returns_four_outputs() -> None:
    out = network(predict_clip=True, clip_dim=24)(T)
    assert isinstance(out, Output)
    assert Output._fields == ("frames", "embedding", "features", "seconds")
    frames, embedding, features, seconds = out
    assert frames.shape == (3, 3, 45, 61)
    assert frames.min() >= 0
    assert frames.max() <= 1
    assert embedding.shape == (3, 24)
    assert features.shape[:2] == (3, 160 + sum(c for _, c in ModelConfig().grids))
    assert seconds > 0
    assert network()(T).embedding is None


def test_clip_head_has_the_documented_layers() -> None:
    model = network(predict_clip=True, clip_dim=24)
    head = model.head("clip")
    assert head is not None
    width = model.arch.widths[0]
    assert [type(layer).__name__ for layer in head] == [
        "AdaptiveAvgPool2d",
        "Flatten",
        "Linear",
        "ReLU",
        "Linear",
    ]
    assert (head[2].in_features, head[2].out_features) == (width, 2 * width)
    assert (head[4].in_features, head[4].out_features) == (2 * width, 24)


@pytest.mark.parametrize("tap", [0, 1, -1])
def test_embedding_does_not_depend_on_layers_after_the_tap(tap: int) -> None:
    arch = network(predict_clip=True, clip_dim=24).arch
    tap %= len(arch.strides) + 1
    model = NeRVClip(dataclasses.replace(arch, clip_tap=tap))
    expected = model(T).embedding
    with torch.no_grad():
        for late in [*model.blocks[tap:], model.rgb_head]:
            for parameter in late.parameters():
                parameter.fill_(float("nan"))
    torch.testing.assert_close(model.embed(T), expected)


def test_embed_without_clip_head_raises() -> None:
    with pytest.raises(TypeError):
        network().embed(T)


def test_grids_and_tables_interpolate_linearly_in_time() -> None:
    grid = TemporalGrid(steps=3, channels=2, grid=(1, 1))
    at = torch.tensor([0.0, 0.25, 0.5, 1.0], dtype=torch.float64)
    a, b, c = grid.values[:, :, 0, 0]
    torch.testing.assert_close(grid(at)[:, :, 0, 0], torch.stack([a, (a + b) / 2, b, c]))
    table = FrameTable(steps=3, shape=(1,))
    table.fill(torch.tensor([0.5, 0.1, 0.3]).double(), torch.tensor([[5.0], [1.0], [3.0]]))
    at = torch.tensor([0.0, 0.1, 0.2, 0.45, 0.9], dtype=torch.float64)
    torch.testing.assert_close(table(at)[:, 0], torch.tensor([1.0, 1.0, 2.0, 4.5, 5.0]))


def test_network_of_a_single_frame_decodes() -> None:
    arch = solve(ModelConfig(modelsize=0.1, lower_width=4), 1, 1, 45, 61)
    assert NeRVClip(arch)(torch.zeros(1, dtype=torch.float64)).frames.shape == (1, 3, 45, 61)


def test_exported_checkpoint_has_no_encoder(tmp_path: Path) -> None:
    model = network(embed="", enc_strds=(5, 2, 2), enc_dim=(8, 4))
    latents = model.encode(torch.rand(8, 3, 45, 61))
    assert model.table is not None
    model.table.fill(torch.linspace(0, 1, 8).double(), latents.detach())
    export_model(model, tmp_path / "m.pth", {"epoch": 3})
    shipped = load_model(tmp_path / "m.pth")
    (decoder,) = shipped.networks
    assert decoder.encoder is None
    torch.testing.assert_close(shipped(T).frames, model(T).frames)
    assert not any("encoder" in key for key in load_checkpoint(tmp_path / "m.pth")["weights"][0])


def test_clip_input_network_has_672_input_features() -> None:
    model = network(clip_input=True, clip_dim=512, grids=())
    assert model(T).features.shape[1] == 672


@pytest.mark.parametrize(
    "change",
    [
        {"embed": "pe_1.25_80"},
        {"embed": "", "enc_strds": (5, 2, 2), "enc_dim": (8, 4)},
        {"enc_strds": (5, 2, 2), "enc_dim": (8, 4)},
        {"embed": "pe_1.25_80", "enc_strds": (5, 2, 2), "enc_dim": (8, 4)},
        {"embed": "pe_1.25_80", "clip_input": True, "clip_dim": 16},
        {
            "enc_strds": (5, 2, 2),
            "enc_dim": (8, 0.1),
            "conv_type": ("conv", "conv"),
            "ks": (3, 3, 3),
        },
        {"conv_type": ("pshuffel", "interpolate"), "norm": "in", "act": "sin", "out_bias": "0.5"},
        {"conv_type": ("convnext", "pshuffel"), "ks": (0, 1, 5), "num_blks": (1, 2)},
        {"norm": "bn", "num_blks": (1, 2), "out_bias": "sigmoid", "head_strd": 4},
    ],
)
def test_every_configuration_draws_and_trains_all_parameters(change: dict[str, object]) -> None:
    model = network(**change).train()
    latent = model.encode(torch.rand(3, 3, 45, 61)) if model.encoder is not None else None
    out = model.draw(T, latent)
    assert out.frames.shape == (3, 3, 45, 61)
    (out.frames.mean() + out.features.heads["motion"].mean()).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_unknown_block_kinds_raise() -> None:
    size: dict[str, int] = {"inside": 4, "outside": 4, "stride": 2, "kernel": 3, "count": 1}
    with pytest.raises(ValueError, match=r"'magic'.*residual, pshuffel, conv, interpolate"):
        UpBlock(kind="magic", norm="none", act="relu", **size)
    with pytest.raises(ValueError, match=r"'magic'.*convnext, conv, pshuffel"):
        build_encoder(
            strides=(2,),
            dims=(4, 4),
            blocks=1,
            kernel=3,
            conv_type="magic",
            norm="none",
            act="gelu",
        )


def test_damaged_and_foreign_checkpoints_raise_input_error(tmp_path: Path) -> None:
    model = network()
    export_model(model, tmp_path / "m.pth", {})
    whole = (tmp_path / "m.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pth").write_text("no checkpoint")
    torch.save({"weights": {}}, tmp_path / "foreign.pth")
    torch.save({"architecture": Path("evil")}, tmp_path / "code.pth")
    content = load_checkpoint(tmp_path / "m.pth")
    own = content["architecture"]["segments"][0]["network"]
    own["widths"] = [w + 1 for w in own["widths"]]
    torch.save(content, tmp_path / "wrong.pth")
    changed = {"clip_tap": None, "kernels": (3,), "motion_tap": 9, "grids": 1}
    for field, value in changed.items():
        content = load_checkpoint(tmp_path / "m.pth")
        content["architecture"]["segments"][0]["network"][field] = (
            value  # such as another version may write
        )
        torch.save(content, tmp_path / f"{field}.pth")
    for name in ("cut", "text", "foreign", "code", "wrong", "absent", *changed):
        with pytest.raises(InputError, match=r"damaged|not a checkpoint|no checkpoint"):
            load_model(tmp_path / f"{name}.pth")
