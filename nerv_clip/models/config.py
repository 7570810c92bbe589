"""Configuration of the network: frozen values, made from flags or read from a checkpoint.

Only builders read these classes; layers and functions take plain arguments.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

from nerv_clip.errors import InputError

BITS = (32, 16, 8)  # of a weight in a checkpoint
MAX_MODELSIZE = 100  # million parameters
MAX_PARAMETERS = 200_000_000  # of all parts of a network, with heads and tables: 0.8 GB
MAX_FRAMES = 500_000  # over five hours at 25 frames/s
MAX_PIXELS = 2**26  # of a drawn frame: 8192 x 8192, twice as many as an 8K video has
MAX_FEATURES = 2**30  # numbers in the output of a stage, 4 GB: more is never drawn

# Smallest and largest integers of an `Architecture`, or of its tuples. They allow anything that can
# be trained, and keep a damaged or hostile file from building a network that does not fit.
LIMITS: dict[str, tuple[int, int]] = {
    "frames": (1, MAX_FRAMES),
    "height": (1, MAX_PIXELS),
    "width": (1, MAX_PIXELS),
    "grid": (1, 8192),
    "grids": (1, MAX_FRAMES),
    "stem_width": (1, 16_384),
    "widths": (1, 8192),
    "strides": (1, 8192),
    "kernels": (1, 99),
    "blocks": (1, 64),
    "head_stride": (1, 256),
    "head_kernel": (1, 99),
    "table_steps": (0, MAX_FRAMES),
    "enc_strides": (1, 8192),
    "enc_dim": (0, 65_536),
    "enc_blocks": (1, 64),
    "enc_kernel": (0, 99),
    "clip_dim": (0, 16_384),
    "clip_tap": (0, 16),
    "clip_input": (0, 16_384),
    "dense_dim": (0, 16_384),
    "dense_rank": (0, 4096),
    "dense_tap": (0, 16),
    "motion_tap": (0, 16),
    "motion_steps": (0, MAX_FRAMES),
    "cuts": (1, MAX_FRAMES),
}
MAX_ITEMS = 16  # in each tuple: up-blocks, temporal grids
MAX_NAME = 64  # characters of a name, such as that of an activation


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network that the user requests; what is None is chosen from the frame size.

    `nerv_clip.models.solver.solve` turns it into an `Architecture`. Names follow HNeRV's options
    where HNeRV has one.
    """

    modelsize: float = 1.5  # millions of parameters needed to decode frames
    embed: str = "xyt_40_20_20_4"  # "xyt_T_X_Y_BELOW", "pe_BASE_LEVELS" or "" (latents only)
    grid: tuple[int, int] | None = None  # rows and columns of the stem
    dec_strds: tuple[int, ...] | None = None  # strides of the up-blocks
    head_strd: int | None = None  # up-sampling inside the RGB head
    head_cells: int = 15_000  # maximum of cells before the RGB head, if head_strd is None
    enc_strds: tuple[int, ...] = ()  # strides of the encoder, empty for none
    enc_dim: tuple[int, float] = (64, 16)  # encoder width; latent channels, or share if < 1
    ks: tuple[int, int, int] = (0, 3, 3)  # kernels: encoder, first up-block, largest up-block
    reduce: float = 1.2  # divisor of the width from one up-block to the next
    lower_width: int = 12  # minimum width of an up-block
    stem_width: int = 64  # hidden width of the stem
    num_blks: tuple[int, int] = (1, 1)  # blocks per stage: encoder, decoder
    conv_type: tuple[str, str] = ("convnext", "residual")  # block kinds: encoder, decoder
    norm: str = "none"
    act: str = "gelu"
    out_bias: str = "tanh"
    grids: tuple[tuple[float, int], ...] = ((0.5, 4), (0.25, 8), (0.125, 16))  # see Architecture
    segment_frames: int = 600  # most frames of a segment, 0 for any number
    motion: bool = True  # warp neighbouring train frames at the times in between
    predict_clip: bool = False
    clip_dim: int = 0  # embedding width, 0 for the teacher's
    clip_tap: int = 0  # up-block whose output the CLIP head reads, 0 for the stem
    clip_input: bool = False  # feed true embeddings to the stem (the predecessor network)
    predict_dense: bool = False  # an embedding for each cell of a grid
    dense_rank: int = 32  # numbers that the dense head predicts for each cell
    dense_tap: int | None = None  # up-block whose output the dense head reads, 0 for the stem


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The solved network: all that `NeRVClip` needs to be built.

    ``widths`` are the channels after the stem and after each up-block. ``grids`` are the (steps,
    channels) of the learned temporal grids; in `ModelConfig` the first number is the share of the
    frames. ``table_steps`` is the number of train frames whose latents or, with ``clip_input``,
    true embeddings the checkpoint stores.
    """

    frames: int
    height: int
    width: int
    embed: str
    grid: tuple[int, int]
    grids: tuple[tuple[int, int], ...]
    stem_width: int
    widths: tuple[int, ...]
    strides: tuple[int, ...]
    kernels: tuple[int, ...]
    blocks: int
    conv_type: str
    head_stride: int
    head_kernel: int
    norm: str
    act: str
    out_bias: str
    table_steps: int = 0
    enc_strides: tuple[int, ...] = ()
    enc_dim: tuple[int, int] = (0, 0)
    enc_blocks: int = 1
    enc_kernel: int = 0
    enc_conv_type: str = "convnext"
    clip_dim: int = 0  # output width of the CLIP head, 0 without one
    clip_tap: int = 0  # up-block whose output the CLIP head reads, 0 for the stem
    clip_input: int = 0  # width of the embedding at the input, 0 without one
    dense_dim: int = 0  # width of the dense head's embeddings, 0 without one
    dense_rank: int = 0  # numbers that the dense head predicts for each cell
    dense_tap: int = 0  # up-block whose output the dense head reads, 0 for the stem
    motion_tap: int = 0  # up-block whose output the motion head reads, 0 without one
    motion_steps: int = 0  # number of train frames, 0 without a motion head
    cuts: tuple[int, ...] = ()  # first frame of each shot but the first

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width that the decoder draws, before the crop to the frame's size."""
        scale = self.head_stride
        for stride in self.strides:
            scale *= stride
        return self.grid[0] * scale, self.grid[1] * scale

    def plain(self) -> dict[str, Any]:
        """As numbers, strings and tuples, for a checkpoint or JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Architecture:
        """The inverse of `plain`; raises `InputError` for the values of another version."""
        try:
            arch = msgspec.convert(values, cls)
            unknown = values.keys() - arch.plain().keys()
            if unknown:
                raise ValueError(f"unknown: {', '.join(sorted(map(str, unknown)))[:99]}")
        except (TypeError, ValueError, AttributeError) as error:
            raise foreign_checkpoint(error) from None
        arch.check()
        return arch

    def check(self) -> None:
        """Raise `InputError` for a number outside of `LIMITS`, or a frame that is too large."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, str):
                if len(value) > MAX_NAME:
                    raise InputError(f"the network's {field.name} has over {MAX_NAME} characters")
                continue
            low, high = LIMITS[field.name]
            numbers = _numbers(value)
            most = MAX_FRAMES if field.name == "cuts" else 2 * MAX_ITEMS
            if len(numbers) > most or not all(low <= n <= high for n in numbers):
                named = str(value)[:40]
                raise InputError(
                    f"the network's {field.name} {named} is out of range: {low} to {high}"
                )
        if len(self.widths) != len(self.strides) + 1 or len(self.kernels) != len(self.strides):
            raise InputError("the network's widths, strides and kernels do not fit each other")
        if any(after <= before for before, after in pairwise((0, *self.cuts, self.frames))):
            raise InputError("the network's cuts are not those of its frames")
        if any(steps < least_steps(self.frames, self.cuts) for steps, _ in self.grids):
            raise InputError("the network's temporal grids have too few steps for its shots")
        self._check_size()

    def _check_size(self) -> None:
        cells = math.prod(self.grid)
        features = [cells * self.widths[0]]
        for stride, width in zip(self.strides, self.widths[1:], strict=True):
            cells *= stride**2
            features.append(cells * width)
        if cells * self.head_stride**2 > MAX_PIXELS or max(features) > MAX_FEATURES:
            height, width = self.padded
            raise InputError(
                f"the network draws {height}x{width} pixels from up to {max(features):,} features: "
                "that is too large; use smaller frames, or fewer channels"
            )
        if self.height > self.padded[0] or self.width > self.padded[1]:
            raise InputError("the network draws less than the frame's height and width")


def foreign_checkpoint(error: Exception) -> InputError:
    """The error for an architecture that cannot be read."""
    return InputError(
        f"the checkpoint is damaged or of another version of this program ({error}): train it again"
    )


def least_steps(frames: int, cuts: tuple[int, ...]) -> int:
    """The fewest steps of a temporal grid: two a shot, one in a shot of one frame."""
    return sum(min(after - first, 2) for first, after in pairwise((0, *cuts, frames)))


def _numbers(value: int | tuple[Any, ...]) -> list[int]:
    """An integer, or all integers in nested tuples."""
    return [value] if isinstance(value, int) else [n for item in value for n in _numbers(item)]
