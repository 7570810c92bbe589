"""Dense embeddings: each cell sees its own place, in both kinds of towers, at any frame size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from open_clip.modified_resnet import ModifiedResNet
from open_clip.transformer import VisionTransformer
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.teacher.dense import DenseTeacher, Grid
from nerv_clip.teacher.loading import load_clip_encoder
from nerv_clip.teacher.towers import Attention, ResNetCells, TransformerCells
from tests.samples import write_tiny_clip


def transformer(layers: int = 1) -> VisionTransformer:
    """A random one of 4x4 patches of 8 pixels."""
    torch.manual_seed(0)
    return VisionTransformer(32, 8, 32, layers, 2, 4.0, output_dim=16).eval()


def resnet() -> ModifiedResNet:
    """A random one of 2x2 cells."""
    torch.manual_seed(0)
    return ModifiedResNet([1, 1, 1, 1], 16, 2, 64, 8).eval()


@torch.no_grad()
def test_cells_of_a_resnet_are_the_pooled_embedding_where_all_cells_count_the_same() -> None:
    visual = resnet()
    torch.nn.init.zeros_(visual.attnpool.k_proj.weight)  # equal attention to all cells
    visual.attnpool.positional_embedding.copy_(visual.attnpool.positional_embedding[1:2].clone())
    pixels = torch.randn(2, 3, 64, 64)
    cells = ResNetCells(visual)(pixels)
    assert cells.shape == (2, 16, 2, 2)
    torch.testing.assert_close(cells.mean((2, 3)), visual(pixels))


@torch.no_grad()
@pytest.mark.parametrize("attention", ["values", "neighbours"])
def test_a_changed_patch_changes_its_own_cell_most(attention: Attention) -> None:
    cells = TransformerCells(transformer(), attention)
    pixels = torch.randn(1, 3, 16, 48)  # 2x6 patches, another grid than the tower's own
    changed = pixels.clone()
    changed[:, :, 8:16, 32:40] = torch.randn(1, 3, 8, 8)
    change = (cells(changed) - cells(pixels)).norm(dim=1)[0]
    assert change.shape == (2, 6)
    assert change.argmax() == 6 + 4
    others = change.flatten()[torch.arange(12) != 10]
    assert (others == 0).all() == (attention == "values")  # a patch alone, or with its neighbours


@torch.no_grad()
def test_blocks_before_the_last_are_those_of_open_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    visual = transformer(layers=3)
    seen: list[Tensor] = []
    visual.transformer.resblocks[-1].register_forward_pre_hook(
        lambda _, inputs: seen.extend(inputs)
    )
    pixels = torch.randn(2, 3, 32, 32)
    visual(pixels)
    monkeypatch.setattr(TransformerCells, "_last", lambda own, block, patches, *grid: patches)
    ours = TransformerCells(visual, "values")(pixels)
    theirs = visual.ln_post(seen[0][:, 1:]) @ visual.proj
    torch.testing.assert_close(ours.flatten(2).transpose(1, 2), theirs)


@pytest.mark.parametrize("size", [(48, 80), (90, 60)])
@pytest.mark.parametrize("grid", [Grid(6, 8), Grid(6, 8, 1.2, 1.1)])
def test_a_spot_changes_the_map_at_its_place(
    teacher: str, size: tuple[int, int], grid: Grid
) -> None:
    dense = DenseTeacher(load_clip_encoder(teacher), attention="values")
    height, width = size
    frame = torch.zeros(1, 3, height, width, dtype=torch.uint8)
    spot = frame.clone()
    x, y = 0.7, 0.3
    spot[..., int(0.2 * height) : int(0.4 * height), int(0.6 * width) : int(0.8 * width)] = 255
    plain, lit = dense.maps(frame, grid), dense.maps(spot, grid)
    torch.testing.assert_close(lit.norm(dim=1), torch.ones(1, 6, 8))
    change = (lit - plain).norm(dim=1)[0]
    weight = change / change.sum()
    centre = (grid.centres() * weight[..., None]).sum((0, 1))
    assert centre.tolist() == pytest.approx([x, y], abs=0.08)


def test_the_demo_encoder_and_random_weights_have_a_dense_form() -> None:
    frames = torch.rand(2, 3, 36, 64)
    for name, weights in (("demo", None), ("RN50", "random:0")):
        dense = DenseTeacher(load_clip_encoder(name, weights), magnifications=(1.0,))
        maps = dense.maps(frames, Grid(3, 5))
        assert maps.shape == (2, dense.dim, 3, 5)
        torch.testing.assert_close(maps.norm(dim=1), torch.ones(2, 3, 5))


def test_what_a_dense_map_depends_on_is_in_its_id(teacher: str, tmp_path: Path) -> None:
    encoder, other = (load_clip_encoder(n) for n in (teacher, write_tiny_clip(tmp_path, seed=1)))
    made = [
        DenseTeacher(encoder),
        DenseTeacher(other),
        DenseTeacher(encoder, attention="values"),
        DenseTeacher(encoder, magnifications=(1.0, 2.0)),
    ]
    assert len({dense.id for dense in made}) == 4


def test_a_tower_without_a_dense_form_is_named(teacher: str) -> None:
    encoder = load_clip_encoder(teacher)
    encoder.model.visual = torch.nn.Identity()
    with pytest.raises(InputError, match=r"\(Identity\) has no dense form: leave out .*RN50"):
        DenseTeacher(encoder)
    encoder.model.visual = VisionTransformer(
        32, 8, 32, 1, 2, 4.0, output_dim=16, attentional_pool=True, attn_pooler_heads=2
    )
    with pytest.raises(InputError, match="no dense form"):
        DenseTeacher(encoder)
