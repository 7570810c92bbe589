"""Configuration of the network: frozen values, made from flags or read from a checkpoint.

Only builders read these classes; layers and functions take plain arguments.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from nerv_clip.errors import InputError

BITS = (32, 16, 8)  # of a weight in a checkpoint


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
    motion: bool = True  # warp neighbouring train frames at the times in between
    predict_clip: bool = False
    clip_dim: int = 0  # embedding width, 0 for the teacher's
    clip_tap: int = 0  # up-block whose output the CLIP head reads, 0 for the stem
    clip_input: bool = False  # feed true embeddings to the stem (the predecessor network)


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
    motion_tap: int = 0  # up-block whose output the motion head reads, 0 without one
    motion_steps: int = 0  # number of train frames, 0 without a motion head

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
            arch = cls(**{name: _tuples(value) for name, value in values.items()})
            for field in dataclasses.fields(cls):
                value = getattr(arch, field.name)
                if field.type == "int" and not isinstance(value, int):
                    raise TypeError(f"{field.name} {value!r} is not an integer")
        except (TypeError, AttributeError) as error:
            raise InputError(
                f"the checkpoint is damaged or of another version of this program ({error}): "
                "train it again"
            ) from None
        return arch


def _tuples(value: Any) -> Any:  # noqa: ANN401 - any plain value
    return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value
