"""Dense embeddings of frames: the teacher's embedding of each cell of a grid.

A frame is read at several sizes, because cells see objects of different sizes best at different
magnifications, and the means of their unit vectors are sampled at the cells that are wanted.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.teacher.preprocessing import resized
from nerv_clip.teacher.towers import Attention, CellTower, cell_tower

# short sides of a frame, as multiples of the tower's own input; chosen on kitchens 101 to 105
MAGNIFICATIONS = (1.0, 4 / 3, 5 / 3, 2.0)


class Grid(NamedTuple):
    """Cells of a frame: ``rows`` x ``columns`` that cover ``height`` x ``width`` frames.

    A frame of 1 x 1 is covered exactly; where a network draws more than the frame, to be cropped at
    the right and at the bottom, ``height`` or ``width`` is above 1.
    """

    rows: int
    columns: int
    height: float = 1.0
    width: float = 1.0

    def centres(self) -> Tensor:
        """Places (rows, columns, 2) of the middle of each cell: x and y in [0, 1] in a frame."""
        y = (torch.arange(self.rows) + 0.5) * (self.height / self.rows)
        x = (torch.arange(self.columns) + 0.5) * (self.width / self.columns)
        return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)


class DenseTeacher:
    """The teacher, read cell by cell: frames to unit embeddings on a grid.

    Attributes: ``dim``, the width of an embedding; ``id``, which identifies all that the values
    depend on beside the frames and the grid. ``attention`` is for vision transformers (see
    `nerv_clip.teacher.towers`). Raises `InputError` for a teacher without a dense form.
    """

    def __init__(
        self,
        encoder: ClipEncoder,
        *,
        attention: Attention = "neighbours",
        magnifications: tuple[float, ...] = MAGNIFICATIONS,
    ) -> None:
        self.encoder, self.dim = encoder, encoder.dim
        self.tower: CellTower = cell_tower(encoder.model, encoder.name, attention)
        self.magnifications = magnifications
        scales = " ".join(f"{scale:.4g}" for scale in magnifications)
        self.id = f"{encoder.id} {type(self.tower).__name__} {attention} {scales}"

    @torch.no_grad()
    def maps(self, frames: Tensor, grid: Grid) -> Tensor:
        """Frames (B, 3, H, W), uint8 or in [0, 1], to unit embeddings (B, dim, rows, columns).

        Frames keep their aspect ratio, up to whole cells of the tower.
        """
        frames = frames.to(self.encoder.device)
        places = (2 * grid.centres() - 1).to(frames.device)[None].expand(len(frames), -1, -1, -1)
        total = torch.zeros(len(frames), self.dim, grid.rows, grid.columns, device=frames.device)
        for size in self._sizes(*frames.shape[-2:]):
            cells = F.normalize(self.tower(self._pixels(frames, size)).float(), dim=1)
            total += F.grid_sample(cells, places, "bicubic", "border", align_corners=False)
        return F.normalize(total, dim=1)

    def _pixels(self, frames: Tensor, size: tuple[int, int]) -> Tensor:
        normalise = self.encoder.steps[-1]
        pixels: Tensor = normalise(resized(frames, size).float() / 255)
        return pixels

    def _sizes(self, height: int, width: int) -> list[tuple[int, int]]:
        """Heights and widths in pixels at which a frame is read."""
        cell = self.tower.cell
        sizes = []
        for scale in self.magnifications:
            cells = scale * self.tower.size / cell / min(height, width)  # per pixel of the frame
            rows, columns = (max(round(side * cells), 1) for side in (height, width))
            sizes.append((rows * cell, columns * cell))
        return list(dict.fromkeys(sizes))
