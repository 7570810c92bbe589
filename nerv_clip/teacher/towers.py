"""Image towers of open_clip, read cell by cell instead of pooled. No weight is changed.

Pooling mixes all cells of a frame into one vector. Without its last mixing, a tower gives a vector
of the same space for each cell, as MaskCLIP (Zhou et al., 2022) found. For vision transformers
there is NACLIP (Hajimiri et al., 2024) as well, in which a patch attends to its neighbours.
"""

from __future__ import annotations

import math
from typing import Any, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nerv_clip.errors import InputError

Attention = Literal["neighbours", "values"]
NEIGHBOURHOOD = 5.0  # standard deviation in patches, as in NACLIP


class CellTower(Protocol):
    """An image tower that gives an embedding for each cell.

    ``size`` is the side in pixels of the square images that it was trained with, ``cell`` that of a
    cell. It maps normalised pixels (B, 3, h·cell, w·cell) to vectors (B, dim, h, w), not unit.
    """

    size: int
    cell: int

    def __call__(self, pixels: Tensor) -> Tensor: ...


def cell_tower(model: nn.Module, name: str, attention: Attention = "neighbours") -> CellTower:
    """The image tower of an open_clip model, read cell by cell.

    ``name`` stands in errors; ``attention`` is for vision transformers. Raises `InputError` for
    towers without such a reading: those of timm, and transformers with an attentional pooler.
    """
    from open_clip.modified_resnet import ModifiedResNet  # takes seconds
    from open_clip.transformer import VisionTransformer

    visual: Any = model.visual
    if isinstance(visual, ModifiedResNet):
        return ResNetCells(visual)
    if isinstance(visual, VisionTransformer):
        last = visual.transformer.resblocks[-1]
        plain = isinstance(getattr(last, "attn", None), nn.MultiheadAttention)
        if plain and visual.attn_pool is None and visual.pool_type != "none":
            return TransformerCells(visual, attention)
    raise InputError(
        f"the image tower of {name} ({type(visual).__name__}) has no dense form: leave out "
        "`predict_dense`, or use a model with a plain ViT or a ResNet of OpenAI, such as ViT-B-32 "
        "or RN50"
    )


class ResNetCells:
    """CLIP's own ResNet: the value and output projections of its attention pool at each cell."""

    def __init__(self, visual: Any) -> None:  # noqa: ANN401 - open_clip has no types
        self.visual = visual
        self.size = _side(visual.image_size)
        self.cell = 32

    def __call__(self, pixels: Tensor) -> Tensor:
        visual = self.visual
        features: Tensor = visual.stem(pixels)
        for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            features = layer(features)
        pool = visual.attnpool
        # every cell gets the mean of the positions: there is none for cells of larger frames
        place = pool.positional_embedding[1:].mean(0)
        cells = features.permute(0, 2, 3, 1) + place
        vectors: Tensor = pool.c_proj(pool.v_proj(cells))
        return vectors.permute(0, 3, 1, 2)


class TransformerCells:
    """A vision transformer: its last block keeps each patch in its place.

    With the attention ``values``, a patch of the last block attends to itself alone (MaskCLIP).
    With ``neighbours``, it attends by the similarity of keys and by distance, and the last block's
    residual path and MLP are left out (NACLIP).
    """

    def __init__(self, visual: Any, attention: Attention) -> None:  # noqa: ANN401
        self.visual = visual
        self.size, self.cell = _side(visual.image_size), _side(visual.patch_size)
        self.attention = attention

    def __call__(self, pixels: Tensor) -> Tensor:
        visual = self.visual
        patches: Tensor = visual.conv1(pixels)
        grid = patches.shape[-2:]
        tokens = patches.flatten(2).transpose(1, 2)
        first = visual.class_embedding.expand(len(tokens), 1, -1)
        tokens = torch.cat([first, tokens], 1) + self._places(*grid)
        tokens = visual.ln_pre(tokens)
        *blocks, last = visual.transformer.resblocks
        for block in blocks:
            tokens = block(tokens)
        cells = self._last(last, tokens[:, 1:], *grid)
        embedded: Tensor = visual.ln_post(cells) @ visual.proj
        return embedded.transpose(1, 2).reshape(len(pixels), -1, *grid)

    def _places(self, rows: int, columns: int) -> Tensor:
        """Positional embeddings (1 + rows · columns, width), resized to another grid."""
        places: Tensor = self.visual.positional_embedding
        own = math.isqrt(len(places) - 1)
        if (rows, columns) == (own, own):
            return places
        square = places[1:].T.reshape(1, -1, own, own)
        resized = F.interpolate(square, (rows, columns), mode="bicubic", align_corners=False)
        return torch.cat([places[:1], resized[0].flatten(1).T])

    def _last(self, block: Any, patches: Tensor, rows: int, columns: int) -> Tensor:  # noqa: ANN401
        """The last block, (B, N, width) to the same."""
        attend = block.attn
        projected = F.linear(block.ln_1(patches), attend.in_proj_weight, attend.in_proj_bias)
        _, keys, values = projected.chunk(3, -1)
        mixed: Tensor
        if self.attention == "values":
            mixed = patches + block.ls_1(attend.out_proj(values))
            mixed = mixed + block.ls_2(block.mlp(block.ln_2(mixed)))
        else:
            heads = (*patches.shape[:2], attend.num_heads, attend.head_dim)
            keys, values = (part.reshape(heads).transpose(1, 2) for part in (keys, values))
            logits = keys @ keys.transpose(-1, -2) / math.sqrt(attend.head_dim)
            weights = (logits + _nearness(rows, columns).to(logits)).softmax(-1)
            mixed = attend.out_proj((weights @ values).transpose(1, 2).flatten(2))
        return mixed


def _nearness(rows: int, columns: int) -> Tensor:
    """A Gaussian of the distance between patches, (N, N) with N = rows · columns."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    places = torch.stack([y.flatten(), x.flatten()], 1).float()
    return torch.exp(-torch.cdist(places, places).square() / (2 * NEIGHBOURHOOD**2))


def _side(size: int | tuple[int, int]) -> int:
    """The side of a square, for which open_clip has an integer or two equal ones."""
    return size if isinstance(size, int) else size[0]
