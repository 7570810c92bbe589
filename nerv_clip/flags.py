"""The training flags: their names, defaults and limits, and the frozen configs made from them.

HNeRV's names where it has one. Defaults are those of the config classes: they stand only there.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from nerv_clip.config import ModelConfig, TrainConfig
from nerv_clip.coordinates import parse_split
from nerv_clip.errors import InputError
from nerv_clip.losses import PIXEL_LOSSES
from nerv_clip.optim import OPTIMISERS, learning_rate
from nerv_clip.run import Run, run_path
from nerv_clip.video import ClipSpec, parse_size

# What a preset changes; a flag that is given wins over it.
PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    "fast": {"head_strd": 4},
    "hnerv": {
        "embed": "",
        "enc_strds": [5, 2, 2, 2],
        "enc_dim": "64_16",
        "ks": "0_1_5",
        "lr": 1e-3,
        "optim": "adam",
    },
    "nerv": {
        "embed": "pe_1.25_80",
        "head_strd": 1,
        "ks": "0_3_3",
        "reduce": 2.0,
        "lr": 1e-3,
        "optim": "adam",
    },
}


# The flags whose name is not that of the config's field.
FLAG_OF = {
    "clip": "--data_path, its crop, size or range",
    "teacher": "--clip_model or --clip_pretrained",
    "network": "the network (solved by another version)",
    "processes": "--nproc_per_node",
    "batch": "--batchSize",
    "seed": "--manualSeed",
    "grid": "--fc_hw",
    "grids": "--t_grids",
}


@dataclass(frozen=True)
class Options:
    """Everything that a training command says, checked."""

    data: ClipSpec
    cache_gb: float
    split: str
    shuffle: bool
    model: ModelConfig
    train: TrainConfig
    clip_model: str | None
    clip_pretrained: str | None
    run: Path
    device: str
    overwrite: bool
    resume: bool
    eval_only: bool
    weight: Path | None
    save_minutes: float
    debug: bool
    dump_images: bool
    dump_videos: bool
    asked: dict[str, Any]  # every flag as it stands after preset and defaults, for config.json

    @property
    def teacher(self) -> tuple[str, str | None] | None:
        """Name and weights of the teacher; None where neither the head nor a flag asks for one."""
        asked = self.clip_model or self.clip_pretrained
        if not (asked or self.model.predict_clip or self.model.clip_input):
            return None
        name = self.clip_model or "ViT-B-32"
        local = name == "demo" or name.startswith("local-dir:")
        return name, self.clip_pretrained or (None if local else "laion2b_s34b_b79k")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help lists the flags")


def parse(argv: list[str]) -> Options:
    """Flags to `Options`; raises `InputError` for an unknown flag or a value out of range."""
    parser = build_parser()
    first = parser.parse_args(argv)
    parser.set_defaults(**PRESETS[first.preset])
    if first.eval_only:
        parser.set_defaults(**_flags_of_run(_run_of(first)))
    args = parser.parse_args(argv)
    model, train = _model_config(args), _train_config(args)
    train.check(model.predict_clip)
    parse_split(args.data_split)
    learning_rate(train.lr_type)
    if args.clip_tap is not None and not args.predict_clip:
        raise InputError("--clip_tap places the CLIP head: it needs --predict_clip")
    run = _run_of(args)
    return Options(
        data=ClipSpec(
            path=Path(args.data_path),
            crop=parse_size("--crop_list", args.crop_list),
            resize=parse_size("--resize_list", args.resize_list),
            start=args.vid_start,
            end=args.vid_end,
            step=args.vid_step,
        ),
        cache_gb=_at_least("--cache_gb", args.cache_gb, 0),
        split=args.data_split,
        shuffle=args.shuffle_data,
        model=model,
        train=train,
        clip_model=args.clip_model,
        clip_pretrained=args.clip_pretrained,
        run=run,
        device=args.device,
        overwrite=args.overwrite,
        resume=not args.not_resume,
        eval_only=args.eval_only,
        weight=Path(args.weight) if args.weight else None,
        save_minutes=_at_least("--save_freq", args.save_freq, 0),
        debug=args.debug,
        dump_images=args.dump_images,
        dump_videos=args.dump_videos,
        asked=vars(args),
    )


def _run_of(args: argparse.Namespace) -> Path:
    name = "debug" if args.debug and args.outf is None else args.outf
    run = run_path(name or Path(args.data_path).resolve().stem or "run")
    return run.with_name(run.name + args.suffix) if args.suffix else run


def _flags_of_run(path: Path) -> dict[str, Any]:
    """What an evaluation need not repeat: the flags of the training that wrote the run."""
    run = Run(path)
    if not run.config.exists():
        return {}
    passing = ("weight", "overwrite", "eval_only", "device", "dump_images", "dump_videos", "outf")
    flags: dict[str, Any] = run.read_config()["flags"]
    return {name: value for name, value in flags.items() if name not in passing}


def _at_least(flag: str, value: float, low: float) -> float:
    if not value >= low or math.isinf(value):
        raise InputError(f"{flag} {value} is out of range: at least {low:g}")
    return value


def _numbers(flag: str, text: str, kinds: tuple[Callable[[str], Any], ...]) -> tuple[Any, ...]:
    parts = text.split("_")
    try:
        return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
    except ValueError:
        raise InputError(f"{flag} {text!r}: give {len(kinds)} numbers joined by _") from None


def _model_config(args: argparse.Namespace) -> ModelConfig:
    return ModelConfig(
        modelsize=args.modelsize,
        embed=args.embed,
        grid=_numbers("--fc_hw", args.fc_hw, (int, int)) if args.fc_hw else None,
        dec_strds=tuple(args.dec_strds) if args.dec_strds else None,
        head_strd=args.head_strd,
        enc_strds=tuple(args.enc_strds),
        enc_dim=_numbers("--enc_dim", args.enc_dim, (int, float)),
        ks=_numbers("--ks", args.ks, (int, int, int)),
        reduce=args.reduce,
        lower_width=args.lower_width,
        stem_width=args.stem_width,
        num_blks=_numbers("--num_blks", args.num_blks, (int, int)),
        conv_type=_pair("--conv_type", args.conv_type),
        norm=args.norm,
        act=args.act,
        out_bias=args.out_bias,
        grids=_grids(args.t_grids),
        predict_clip=args.predict_clip,
        clip_dim=args.clip_dim,
        clip_tap=args.clip_tap,
        clip_input=args.clip_input,
    )


def _pair(flag: str, values: list[str]) -> tuple[str, str]:
    if len(values) != 2:
        raise InputError(f"{flag}: give two names, for the encoder and the decoder")
    return values[0], values[1]


def _grids(text: str) -> tuple[tuple[float, int], ...]:
    if text in ("", "none"):
        return ()
    pairs = [_numbers("--t_grids", part, (float, int)) for part in text.split(",")]
    if any(not 0 < share <= 4 or channels < 1 for share, channels in pairs):
        raise InputError(f"--t_grids {text}: give SHARE_CHANNELS, with 0 < SHARE <= 4")
    return tuple((share, channels) for share, channels in pairs)


def _train_config(args: argparse.Namespace) -> TrainConfig:
    values = {field.name: getattr(args, field.name) for field in fields(TrainConfig)}
    return TrainConfig(**values)


def build_parser() -> argparse.ArgumentParser:
    """All flags of ``train/train_nerv_clip.py``."""
    parser = _Parser(
        prog="train_nerv_clip.py",
        description="Train one network that draws a video and knows what is in it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--preset", choices=list(PRESETS), default="default")
    _add_data(parser.add_argument_group("data"))
    _add_model(parser.add_argument_group("network"))
    _add_clip(parser.add_argument_group("CLIP"))
    _add_training(parser.add_argument_group("training"))
    _add_run(parser.add_argument_group("run"))
    return parser


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--data_path", required=True, help="a video file, or a folder of images")
    group.add_argument(
        "--crop_list", default="-1", help="centre crop, HEIGHT_WIDTH, before resizing"
    )
    group.add_argument("--resize_list", default="-1", help="size to train at, HEIGHT_WIDTH")
    group.add_argument("--vid_start", type=int, default=0, help="first frame of the source")
    group.add_argument("--vid_end", type=int, help="end of the source, exclusive")
    group.add_argument("--vid_step", type=int, default=1, help="keep every n-th frame")
    group.add_argument(
        "--data_split",
        default="1_1_1",
        help="a_b_c: of every c frames the first a train, those from b on are held out",
    )
    group.add_argument("--shuffle_data", action="store_true", help="deal the split at random")
    group.add_argument("--cache_gb", type=float, default=4.0, help="larger clips are streamed")


def _add_model(group: argparse._ArgumentGroup) -> None:
    d = ModelConfig()
    group.add_argument(
        "--modelsize", type=float, default=d.modelsize, help="millions of parameters"
    )
    group.add_argument(
        "--embed", default=d.embed, help="xyt_T_X_Y, pe_1.25_80 or '' (with encoder)"
    )
    group.add_argument(
        "--t_grids",
        default=",".join(f"{share:g}_{channels}" for share, channels in d.grids),
        help="learned temporal grids: steps as a share of the frames, _channels, or none",
    )
    group.add_argument("--fc_hw", help="the stem's grid, ROWS_COLUMNS; solved by default")
    group.add_argument(
        "--stem_width", type=int, default=d.stem_width, help="the stem's hidden width"
    )
    group.add_argument(
        "--dec_strds", type=int, nargs="+", help="up-block strides; solved by default"
    )
    group.add_argument(
        "--head_strd", type=int, choices=[1, 2, 4], help="up-sampling in the RGB head"
    )
    group.add_argument("--enc_strds", type=int, nargs="*", default=[], help="use HNeRV's encoder")
    group.add_argument(
        "--enc_dim", default="64_16", help="encoder width _ latent channels or share"
    )
    group.add_argument(
        "--ks", default="_".join(map(str, d.ks)), help="kernels: encoder_first_largest"
    )
    group.add_argument(
        "--reduce", type=float, default=d.reduce, help="width divisor of an up-block"
    )
    group.add_argument("--lower_width", type=int, default=d.lower_width, help="least width")
    group.add_argument("--num_blks", default="1_1", help="blocks a stage: encoder_decoder")
    group.add_argument("--conv_type", nargs="+", default=list(d.conv_type), help="encoder, decoder")
    group.add_argument("--norm", default=d.norm, help="none, bn or in")
    group.add_argument("--act", default=d.act, help="gelu, sin, relu, leaky, swish, …")
    group.add_argument("--out_bias", default=d.out_bias, help="tanh, sigmoid or a number")


def _add_clip(group: argparse._ArgumentGroup) -> None:
    d, t = ModelConfig(), TrainConfig()
    group.add_argument("--predict_clip", action="store_true", help="add the CLIP head")
    group.add_argument("--clip_dim", type=int, default=d.clip_dim, help="the teacher's width")
    group.add_argument("--clip_tap", type=int, help="head after this up-block, not the last")
    group.add_argument("--clip_input", action="store_true", help="predecessor: CLIP as an input")
    group.add_argument("--clip_loss_weight", type=float, default=t.clip_loss_weight, help="λ")
    group.add_argument(
        "--pixel_loss_warmup_epochs",
        type=int,
        default=t.pixel_loss_warmup_epochs,
        help="epochs before the CLIP loss",
    )
    group.add_argument(
        "--clip_model", help="open_clip model, local-dir:FOLDER or demo (ViT-B-32 if needed)"
    )
    group.add_argument(
        "--clip_pretrained", help="open_clip tag or a weights file (laion2b_s34b_b79k if needed)"
    )


def _add_training(group: argparse._ArgumentGroup) -> None:
    d = TrainConfig()
    group.add_argument("-e", "--epochs", type=int, default=d.epochs)
    group.add_argument("-b", "--batchSize", dest="batch", type=int, default=d.batch)
    group.add_argument("--loss", choices=[*PIXEL_LOSSES], default=d.loss, metavar="LOSS")
    group.add_argument("--lr", type=float, default=d.lr)
    group.add_argument(
        "--matrix_lr", type=float, default=d.matrix_lr, help="Muon's rate for kernels"
    )
    group.add_argument("--lr_type", default=d.lr_type)
    group.add_argument("--optim", choices=OPTIMISERS, default=d.optim)
    group.add_argument("--ema", type=float, default=d.ema, help="decay of averaged weights, 0: off")
    group.add_argument("--amp", choices=["none", "bf16"], default=d.amp)
    group.add_argument("--compile", action="store_true", help="torch.compile the network")
    group.add_argument("--manualSeed", dest="seed", type=int, default=d.seed)
    group.add_argument(
        "--eval_freq", type=int, default=d.eval_freq, help="epochs between evaluations"
    )
    group.add_argument(
        "--best_metric",
        default=d.best_metric,
        choices=[
            "psnr_train",
            "psnr_all",
            "psnr_val",
            "clip_similarity_train",
            "clip_similarity_val",
        ],
    )


def _add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--outf", help="run directory: NAME is output/NAME (the clip's name if absent)"
    )
    group.add_argument("--suffix", default="", help="added to the run's name")
    group.add_argument("--overwrite", action="store_true", help="empty the run directory first")
    group.add_argument("--not_resume", action="store_true", help="start again from epoch 0")
    group.add_argument("--eval_only", action="store_true", help="evaluate model_best.pth and stop")
    group.add_argument("--weight", help="start from the weights of this checkpoint")
    group.add_argument("--save_freq", type=float, default=2.0, help="minutes between saves")
    group.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    group.add_argument("--debug", action="store_true", help="ten steps an epoch, into output/debug")
    group.add_argument("--dump_images", action="store_true", help="write decoded frames as PNG")
    group.add_argument("--dump_videos", action="store_true", help="write decoded frames as MP4")


def main_guard(main: Callable[[list[str]], None]) -> NoReturn:
    """Run a script's ``main`` on the command line; an `InputError` is one line and exit code 2."""
    try:
        main(sys.argv[1:])
    except InputError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
