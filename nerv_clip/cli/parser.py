"""The flags of ``train/train_nerv_clip.py``. Flags that HNeRV also has keep their HNeRV names.

Defaults are not written here: they come from a preset, or from the run that is evaluated.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

from nerv_clip.errors import InputError
from nerv_clip.models.config import BITS, ModelConfig
from nerv_clip.models.layers import ACTIVATIONS
from nerv_clip.training.config import AMP, BEST_METRICS, TrainConfig
from nerv_clip.training.losses import PIXEL_LOSSES
from nerv_clip.training.optimisers import OPTIMISERS
from nerv_clip.training.presets import PRESETS, preset


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help texts with the defaults of the flags that have one: not None, False, or empty."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        default = action.default
        if default is None or default is False or default in ("", []):
            return action.help
        if isinstance(default, list):
            return f"{action.help} (default: {' '.join(map(str, default))})"
        return super()._get_help_string(action)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises `InputError` for wrong arguments: one line, no usage text.

    Its help shows defaults. ``allow_abbrev`` is argparse's.
    """

    def __init__(self, *, prog: str, description: str | None, allow_abbrev: bool = True) -> None:
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=HelpFormatter,
            allow_abbrev=allow_abbrev,
        )

    def error(self, message: str) -> NoReturn:
        """Raise the message as an `InputError`."""
        raise InputError(f"{message}; --help lists the flags")


@dataclass(frozen=True, kw_only=True)
class Defaults:
    """The values of flags that are not given, as `nerv_clip` has them."""

    model: ModelConfig
    train: TrainConfig
    preset: str = "default"
    crop: tuple[int, int] | None = None
    resize: tuple[int, int] | None = None
    start: int = 0
    end: int | None = None
    step: int = 1
    stream: int | None = None
    shots: Literal["auto", "off"] | tuple[int, ...] = "auto"
    data_split: str = "1_1_1"
    shuffle_data: bool = False
    clip_model: str | None = None
    clip_pretrained: str | None = None


def defaults_of(name: str) -> Defaults:
    """The defaults of a preset."""
    model, train = preset(name)
    return Defaults(model=model, train=train, preset=name)


def build_parser(defaults: Defaults | None = None) -> argparse.ArgumentParser:
    """All flags, with the defaults of the preset ``default`` if none are given."""
    defaults = defaults or defaults_of("default")
    parser = Parser(
        prog="train_nerv_clip.py",
        description="Train one network on a video: it reproduces the frames and, with "
        "--predict_clip, predicts their CLIP embeddings.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--preset",
        choices=list(PRESETS),
        default=defaults.preset,
        help="settings that belong together: fast is faster and slightly blurrier, best is slower "
        "and sharper, hnerv and nerv are the classic networks; other flags override a preset",
    )
    _add_data(parser.add_argument_group("data"), defaults)
    _add_model(parser.add_argument_group("network"), defaults.model)
    _add_clip(parser.add_argument_group("CLIP"), defaults)
    _add_training(parser.add_argument_group("training"), defaults.train)
    _add_run(parser.add_argument_group("run"))
    return parser


def _joined(numbers: Sequence[float] | None) -> str | None:
    return None if numbers is None else "_".join(f"{number:g}" for number in numbers)


def _add_data(group: argparse._ArgumentGroup, d: Defaults) -> None:
    group.add_argument(
        "--data_path", required=True, help="a video file, a folder of images, or one image"
    )
    group.add_argument(
        "--crop_list",
        default=_joined(d.crop) or "-1",
        help="centre crop in pixels, HEIGHT_WIDTH, before resizing; -1: none",
    )
    group.add_argument(
        "--resize_list",
        default=_joined(d.resize) or "-1",
        help="frame size in pixels, HEIGHT_WIDTH; -1: the size of the source",
    )
    group.add_argument("--vid_start", type=int, default=d.start, help="first frame of the source")
    group.add_argument(
        "--vid_end",
        type=int,
        default=d.end,
        help="frame after the last; the source's end if absent",
    )
    group.add_argument("--vid_step", type=int, default=d.step, help="keep every n-th frame")
    group.add_argument(
        "--stream",
        type=int,
        default=d.stream,
        help="video stream of a file with several, counted from 0; FFmpeg's choice if absent",
    )
    group.add_argument(
        "--shots",
        default=d.shots,
        help="auto: find the cuts, between which nothing is interpolated; off: one shot; or a text "
        "file with the first frame of each shot, counted from 0 in the source, one a line",
    )
    group.add_argument(
        "--data_split",
        default=d.data_split,
        help="a_b_c: of every c frames the first a are trained, those from b on are held out; "
        "3_3_4 trains on 3 of every 4 frames and tests on the 4th",
    )
    group.add_argument(
        "--shuffle_data",
        action="store_true",
        default=d.shuffle_data,
        help="shuffle the frames before they are split",
    )
    group.add_argument(
        "--cache_gb",
        type=float,
        default=4.0,
        help="GiB of decoded frames kept in memory; a larger video is read from disk",
    )


def _add_model(group: argparse._ArgumentGroup, d: ModelConfig) -> None:
    group.add_argument(
        "--modelsize",
        type=float,
        default=d.modelsize,
        help="millions of parameters of the decoder, without the CLIP head",
    )
    group.add_argument(
        "--embed",
        default=d.embed,
        help="input encoding: xyt_T_X_Y_BELOW (frequencies in t, x and y; those in t reach the "
        "Nyquist frequency / BELOW), pe_BASE_LEVELS (NeRV's, time only), or '' with --enc_strds",
    )
    group.add_argument(
        "--t_grids",
        default=",".join(f"{share}_{channels}" for share, channels in d.grids) or "none",
        help="learned temporal grids, SHARE_CHANNELS,…: SHARE is the number of steps as a share "
        "of the frames, reduced where all grids together would exceed 30 %% of --modelsize; none: "
        "no grids",
    )
    group.add_argument(
        "--fc_hw", default=_joined(d.grid), help="grid of the stem, ROWS_COLUMNS; solved if absent"
    )
    group.add_argument(
        "--stem_width", type=int, default=d.stem_width, help="hidden channels of the stem"
    )
    group.add_argument(
        "--dec_strds",
        type=int,
        nargs="+",
        default=d.dec_strds and list(d.dec_strds),
        help="up-sampling factor of each up-block; solved if absent",
    )
    group.add_argument(
        "--head_strd",
        type=int,
        choices=[1, 2, 4],
        default=d.head_strd,
        help="up-sampling factor of the RGB head; solved if absent; 1 with --dec_strds or "
        "--enc_strds",
    )
    group.add_argument(
        "--head_cells",
        type=int,
        default=d.head_cells,
        help="maximum cells of the RGB head's input, from which its up-sampling is solved",
    )
    group.add_argument(
        "--enc_strds",
        type=int,
        nargs="*",
        default=list(d.enc_strds),
        help="use HNeRV's encoder with these strides",
    )
    group.add_argument(
        "--enc_dim",
        default=_joined(d.enc_dim),
        help="encoder width _ latent channels; below 1, the latents' share of --modelsize",
    )
    group.add_argument(
        "--ks",
        default=_joined(d.ks),
        help="kernel sizes: encoder _ first up-block _ largest",
    )
    group.add_argument(
        "--reduce",
        type=float,
        default=d.reduce,
        help="each up-block has 1/REDUCE of the channels of the one before",
    )
    group.add_argument(
        "--lower_width", type=int, default=d.lower_width, help="minimum channels of an up-block"
    )
    group.add_argument(
        "--segment_frames",
        type=int,
        default=d.segment_frames,
        help="most frames of a network: a longer shot is divided among several; 0: any number",
    )
    group.add_argument(
        "--num_blks",
        default=_joined(d.num_blks),
        help="blocks in a stage: encoder _ decoder",
    )
    group.add_argument(
        "--conv_type",
        nargs="+",
        default=list(d.conv_type),
        help="kind of block in the encoder (convnext, conv, pshuffel) and the decoder (residual, "
        "pshuffel, conv, interpolate)",
    )
    group.add_argument("--norm", default=d.norm, help="normalisation: none, bn or in")
    group.add_argument("--act", default=d.act, help=f"activation: {', '.join(ACTIVATIONS)}")
    group.add_argument(
        "--out_bias",
        default=d.out_bias,
        help="last activation: tanh, sigmoid, or a number that is added",
    )


def _add_clip(group: argparse._ArgumentGroup, d: Defaults) -> None:
    model, train = d.model, d.train
    group.add_argument(
        "--predict_clip", action="store_true", default=model.predict_clip, help="add the CLIP head"
    )
    group.add_argument(
        "--clip_dim",
        type=int,
        default=model.clip_dim or None,
        help="embedding width; the teacher's if absent",
    )
    group.add_argument(
        "--clip_tap",
        type=int,
        default=model.clip_tap or None,
        help="put the CLIP head after this up-block; after the stem if absent",
    )
    group.add_argument(
        "--predict_dense",
        action="store_true",
        default=model.predict_dense,
        help="add the dense head: an embedding for each cell of a grid, to find places by text",
    )
    group.add_argument(
        "--dense_tap",
        type=int,
        default=model.dense_tap,
        help="put the dense head after this up-block, 0 for the stem; the first one with at least "
        "12 cells along the short side if absent",
    )
    group.add_argument(
        "--dense_rank",
        type=int,
        default=model.dense_rank,
        help="numbers that the dense head predicts for each cell",
    )
    group.add_argument(
        "--dense_loss_weight",
        type=float,
        default=train.dense_loss_weight,
        help="weight of the dense head's loss",
    )
    group.add_argument(
        "--clip_input",
        action="store_true",
        default=model.clip_input,
        help="the predecessor: the true embedding is an input, and only RGB an output",
    )
    group.add_argument(
        "--clip_loss_weight",
        type=float,
        default=train.clip_loss_weight,
        help="λ, the weight of the CLIP loss",
    )
    group.add_argument(
        "--slerp_loss_weight",
        "--arc_weight",
        type=float,
        default=train.slerp_loss_weight,
        help="weight of the CLIP loss between train frames relative to the CLIP loss at train "
        "frames; 0: none (--arc_weight is its old name)",
    )
    group.add_argument(
        "--clip_every",
        type=int,
        default=train.clip_every,
        metavar="K",
        help="the teacher embeds one frame in K, which saves most of its time; pixels of all train "
        "frames are seen",
    )
    group.add_argument(
        "--pixel_loss_warmup_epochs",
        type=int,
        default=train.pixel_loss_warmup_epochs,
        help="epochs before CLIP training starts",
    )
    group.add_argument(
        "--clip_model",
        default=d.clip_model,
        help="the teacher: a model of open_clip, hf-hub:ORG/NAME, local-dir:FOLDER or demo "
        "(ViT-B-32 if one is needed)",
    )
    group.add_argument(
        "--clip_pretrained",
        default=d.clip_pretrained,
        help="its weights: a tag of open_clip, a local file, or random:SEED (laion2b_s34b_b79k if "
        "needed)",
    )


def _add_training(group: argparse._ArgumentGroup, d: TrainConfig) -> None:
    group.add_argument(
        "-e", "--epochs", type=int, default=d.epochs, help="passes over the train frames"
    )
    group.add_argument(
        "-b",
        "--batchSize",
        dest="batch",
        type=int,
        default=d.batch,
        help="frames per step, on each process",
    )
    group.add_argument(
        "--loss",
        choices=[*PIXEL_LOSSES],
        default=d.loss,
        metavar="LOSS",
        help=f"pixel loss: {', '.join(PIXEL_LOSSES)}",
    )
    group.add_argument(
        "--motion_weight",
        type=float,
        default=d.motion_weight,
        help="weight of the motion loss; 0 disables motion compensation",
    )
    group.add_argument("--lr", type=float, default=d.lr, help="learning rate")
    group.add_argument(
        "--matrix_lr", type=float, default=d.matrix_lr, help="learning rate of Muon, for kernels"
    )
    group.add_argument(
        "--grid_lr", type=float, default=d.grid_lr, help="learning rate of the temporal grids"
    )
    group.add_argument(
        "--lr_type",
        default=d.lr_type,
        help="learning-rate schedule: cosine_WARMUP_POWER_START, "
        "hybrid_WARMUP_UP_DOWN_START_END, step_AT_FACTOR or const",
    )
    group.add_argument("--optim", choices=OPTIMISERS, default=d.optim, help="optimiser")
    group.add_argument(
        "--ema", type=float, default=d.ema, help="decay of averaged weights; 0: no averaging"
    )
    group.add_argument("--amp", choices=AMP, default=d.amp, help="mixed precision")
    group.add_argument(
        "--compile", action="store_true", default=d.compile, help="compile the network"
    )
    group.add_argument(
        "--manualSeed", dest="seed", type=int, default=d.seed, help="seed of all random numbers"
    )
    group.add_argument(
        "--bits",
        type=int,
        default=d.bits,
        choices=BITS,
        help="bits per weight in model_best.pth; all metrics are measured on that file",
    )
    group.add_argument(
        "--eval_freq", type=int, default=d.eval_freq, help="epochs between evaluations"
    )
    group.add_argument(
        "--best_metric",
        default=d.best_metric,
        choices=BEST_METRICS,
        help="metric that chooses model_best.pth, after the warm-up",
    )


def _add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--outf", help="run directory: NAME is output/NAME; the video's name if absent"
    )
    group.add_argument("--suffix", default="", help="added to the name of the run directory")
    group.add_argument(
        "--minutes",
        type=float,
        help="plan a training that takes this long in all, from reading to evaluation: frame size, "
        "frame step, split, networks and epochs; other flags override the plan",
    )
    group.add_argument(
        "--more_minutes",
        type=float,
        help="continue a finished training for this long, with its settings",
    )
    group.add_argument(
        "--overwrite", action="store_true", help="delete everything in the run directory first"
    )
    group.add_argument(
        "--not_resume",
        action="store_true",
        help="delete the files of the earlier run and start again from epoch 0; other files in the "
        "folder stay",
    )
    group.add_argument(
        "--eval_only", action="store_true", help="evaluate model_best.pth; do not train"
    )
    group.add_argument(
        "--weight",
        help="start from the weights of this checkpoint; with --eval_only, the checkpoint to "
        "evaluate",
    )
    group.add_argument("--save_freq", type=float, default=2.0, help="minutes between saves")
    group.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: a GPU if present"
    )
    group.add_argument(
        "--debug",
        action="store_true",
        help="ten steps per epoch; the run directory is output/debug unless --outf is given",
    )
    group.add_argument("--dump_images", action="store_true", help="write decoded frames as PNG")
    group.add_argument("--dump_videos", action="store_true", help="write decoded frames as MP4")
