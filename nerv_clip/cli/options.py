"""A training command as checked, frozen values."""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from nerv_clip.cli.parser import PRESETS, build_parser
from nerv_clip.errors import InputError
from nerv_clip.models.config import ModelConfig
from nerv_clip.runs.run import Run, run_path
from nerv_clip.teacher.encoder import LOCAL
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.schedules import learning_rate
from nerv_clip.video.split import parse_split
from nerv_clip.video.video import VideoSpec, parse_size

# Names of fields in the config.json of older runs, and what they are called today.
RENAMED = {"arc_weight": "slerp_loss_weight"}

# The flags whose name is not that of the config's field.
FLAG_OF = {
    "clip": "--data_path, its crop, size or range",
    "teacher": "--clip_model or --clip_pretrained",
    "network": "the network (solved by another version)",
    "processes": "--nproc_per_node",
    "weight": "--weight",
    "batch": "--batchSize",
    "seed": "--manualSeed",
    "grid": "--fc_hw",
    "grids": "--t_grids",
    "motion": "--motion_weight",
}


@dataclass(frozen=True)
class Options:
    """Everything that a training command says, checked."""

    data: VideoSpec
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
        return teacher_named(self.clip_model, self.clip_pretrained)


def teacher_named(clip_model: str | None, clip_pretrained: str | None) -> tuple[str, str | None]:
    """Name and weights of a teacher whose flags may have been left out."""
    name = clip_model or "ViT-B-32"
    local = name == "demo" or name.startswith(LOCAL)
    return name, clip_pretrained or (None if local else "laion2b_s34b_b79k")


def parse(argv: list[str]) -> Options:
    """Flags to `Options`; raises `InputError` for an unknown flag or a value out of range."""
    parser = build_parser()
    first = parser.parse_args(argv)
    parser.set_defaults(**PRESETS[first.preset])
    run = _run_of(first)
    if first.eval_only:
        parser.set_defaults(**_flags_of_run(run, first.weight))
    args = parser.parse_args(argv)
    model, train = _model_config(args), _train_config(args)
    train.check(model.predict_clip)
    parse_split(args.data_split)
    learning_rate(train.lr_type)
    if args.clip_tap is not None and not args.predict_clip:
        raise InputError("--clip_tap places the CLIP head: it needs --predict_clip")
    return Options(
        data=VideoSpec(
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
    if os.sep in args.suffix:
        raise InputError(f"--suffix {args.suffix}: it is part of a name, and holds no {os.sep}")
    run = run_path(name or Path(args.data_path).resolve().stem or "run")
    return run.with_name(run.name + args.suffix) if args.suffix else run


def _flags_of_run(path: Path, weight: str | None) -> dict[str, Any]:
    """What an evaluation need not repeat: the flags of the training that wrote the run.

    A directory without one takes them from the run of the checkpoint that is evaluated into it.
    """
    run = Run(path)
    if not run.config.exists() and weight:
        run = Run(Path(weight).parent)
    if not run.config.exists():
        return {}
    passing = (
        "weight",
        "overwrite",
        "not_resume",
        "debug",
        "eval_only",
        "device",
        "dump_images",
        "dump_videos",
        "outf",
        "suffix",
    )
    flags = renamed(run.read_config()["flags"])
    return {name: value for name, value in flags.items() if name not in passing}


def renamed(values: dict[str, Any]) -> dict[str, Any]:
    """Flags or identity of a run's config.json, under today's names."""
    return {RENAMED.get(name, name): value for name, value in values.items()}


def with_flags(message: str) -> str:
    """A message that names arguments in backticks, with the flags that set them instead.

    >>> with_flags("`batch` 0 is out of range; see `somewhere`")
    '--batchSize 0 is out of range; see `somewhere`'
    """
    flags = {
        action.dest: next(name for name in action.option_strings if name.startswith("--"))
        for action in build_parser()._actions
    }
    known = flags | FLAG_OF
    return re.sub(r"`(\w+)`", lambda match: known.get(match[1], match[0]), message)


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
        head_cells=args.head_cells,
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
        motion=args.motion_weight > 0,
        predict_clip=args.predict_clip,
        clip_dim=args.clip_dim or 0,
        clip_tap=args.clip_tap or 0,
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


def main_guard(main: Callable[[list[str]], None]) -> NoReturn:
    """Run a script's ``main`` on the command line; an `InputError` is one line and exit code 2."""
    try:
        main(sys.argv[1:])
    except InputError as error:
        print(f"{Path(sys.argv[0]).name}: {with_flags(str(error))}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from what was saved", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
