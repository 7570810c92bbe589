"""Choose the stem's grid and the strides of up-blocks and RGB head for a frame size."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from nerv_clip.errors import InputError
from nerv_clip.models.config import ModelConfig

TARGET_CELLS = 48  # of the stem's grid; this number scored best, see bench/results


def choose_shape(
    config: ModelConfig, height: int, width: int
) -> tuple[tuple[int, int], tuple[int, ...], int]:
    """The stem's grid, the strides of the up-blocks and that of the RGB head, for a frame size.

    What ``config`` leaves open is chosen by `_cost`.
    """
    if config.enc_strds and config.dec_strds is None:
        options: Iterator[tuple[tuple[int, ...], int]] = iter([(config.enc_strds, 1)])
    elif config.dec_strds is not None:
        options = iter([(config.dec_strds, config.head_strd or 1)])
    else:
        options = _stride_options(config.head_strd or _head(height * width, config.head_cells))
    best = min(
        (
            (_cost(height, width, strides, head, config.grid), strides, head)
            for strides, head in options
        ),
        key=lambda item: (item[0], len(item[1]), item[1]),
    )
    _, strides, head = best
    scale = math.prod(strides) * head
    grid = config.grid or (math.ceil(height / scale), math.ceil(width / scale))
    if grid[0] * scale < height or grid[1] * scale < width:
        raise InputError(
            f"`grid` {grid[0]}_{grid[1]} and `dec_strds` {' '.join(map(str, strides))} draw "
            f"{grid[0] * scale}x{grid[1] * scale}, less than the frame's {height}x{width}: "
            "raise one of them, or leave both out"
        )
    plain = bool(config.enc_strds) and config.conv_type[0] != "convnext"
    if plain and config.norm == "in" and grid == (1, 1):
        raise InputError("`norm` in needs more than the single cell that `enc_strds` leave")
    if config.enc_strds and math.prod(config.enc_strds) != scale:
        raise InputError(
            f"`enc_strds` divide by {math.prod(config.enc_strds)} but the decoder multiplies by "
            f"{scale}: give `enc_strds` and `dec_strds` the same product"
        )
    return grid, strides, head


def _head(pixels: int, cells: int) -> int:
    """The stride of the RGB head: the smallest of 1 and 2 with at most ``cells`` cells, or 4."""
    return next((head for head in (1, 2) if pixels <= cells * head**2), 4)


def _stride_options(head: int) -> Iterator[tuple[tuple[int, ...], int]]:
    """All non-increasing strides of 5, 4, 3 and 2 (as in HNeRV), for up to six up-blocks."""
    for length in range(1, 7):
        for strides in itertools.combinations_with_replacement((5, 4, 3, 2), length):
            yield strides, head


def _cost(
    height: int, width: int, strides: tuple[int, ...], head: int, grid: tuple[int, int] | None
) -> float:
    """The cost of strides: wasted padding, distance from `TARGET_CELLS`, late up-sampling."""
    scale = math.prod(strides) * head
    rows, columns = math.ceil(height / scale), math.ceil(width / scale)
    if grid is not None:
        covers = grid[0] * scale >= height and grid[1] * scale >= width
        return grid[0] * grid[1] * scale**2 / (height * width) if covers else math.inf
    waste = rows * columns * scale**2 / (height * width) - 1
    late = sum(math.ldexp(math.log2(s), -i) for i, s in enumerate(reversed(strides)))  # slow
    return 2 * waste + 0.2 * abs(math.log2(rows * columns / TARGET_CELLS)) + 0.02 * late
