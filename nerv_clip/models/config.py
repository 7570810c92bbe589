"""What is decided before training: plain frozen values, made from flags or read from a checkpoint.

Only builders read these; layers and functions take plain arguments.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from nerv_clip.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What is asked of the network; ``None`` is solved from the frame size.

    `nerv_clip.models.solver.solve` turns it into an `Architecture`.
    """

    modelsize: float = 1.5  # millions of parameters that a decoder needs
    embed: str = "xyt_40_20_20_4"  # "xyt_T_X_Y_BELOW", "pe_BASE_LEVELS", or "": latents alone
    grid: tuple[int, int] | None = None  # --fc_hw: rows and columns where the stem draws
    dec_strds: tuple[int, ...] | None = None
    head_strd: int | None = None  # up-sampling inside the RGB head
    head_cells: int = 15_000  # of the RGB head's input at most, which then picks 1, 2 or 4
    enc_strds: tuple[int, ...] = ()
    enc_dim: tuple[int, float] = (64, 16)
    ks: tuple[int, int, int] = (0, 3, 3)  # encoder, first up-block, largest up-block
    reduce: float = 1.2
    lower_width: int = 12
    stem_width: int = 64
    num_blks: tuple[int, int] = (1, 1)
    conv_type: tuple[str, str] = ("convnext", "residual")
    norm: str = "none"
    act: str = "gelu"
    out_bias: str = "tanh"
    grids: tuple[tuple[float, int], ...] = ((0.5, 4), (0.25, 8), (0.125, 16))
    motion: bool = True  # draw what lies between train frames by moving them
    predict_clip: bool = False
    clip_dim: int = 0  # 0 for the teacher's width
    clip_tap: int = 0  # the up-block that the CLIP head follows, 0 for the stem
    clip_input: bool = False


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The solved network: all that `NeRVClip` needs, and nothing about training.

    ``widths`` are the channels after the stem and after each up-block; ``grids`` are the
    (steps, channels) of the learned temporal grids; ``table_steps`` is the number of train frames
    whose latents or true embeddings (``--clip_input``) the checkpoint carries.
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
    clip_dim: int = 0  # width of the CLIP head, 0 without one
    clip_tap: int = 0  # the up-block that the CLIP head follows, 0 for the stem
    clip_input: int = 0  # width of the embedding at the input, 0 without one
    motion_tap: int = 0  # the up-block that the motion head follows, 0 without one
    motion_steps: int = 0  # train frames, where there is a motion head

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width that the decoder draws, before the crop to the frame's size."""
        scale = self.head_stride
        for stride in self.strides:
            scale *= stride
        return self.grid[0] * scale, self.grid[1] * scale

    def plain(self) -> dict[str, Any]:
        """As numbers, strings and lists, for a checkpoint or JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_plain(cls, values: dict[str, Any]) -> Architecture:
        """The inverse of `plain`; raises `InputError` for values of another version."""
        try:
            return cls(**{name: _tuples(value) for name, value in values.items()})
        except TypeError as error:
            raise InputError(
                f"the checkpoint is of another version of this program ({error}): train it again"
            ) from None


def _tuples(value: Any) -> Any:  # noqa: ANN401 - any plain value
    return tuple(_tuples(item) for item in value) if isinstance(value, (list, tuple)) else value
