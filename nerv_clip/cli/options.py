"""A training command as checked, frozen values."""

from __future__ import annotations

import argparse
import errno
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from nerv_clip.cli.parser import Defaults, build_parser, defaults_of
from nerv_clip.errors import InputError
from nerv_clip.models.config import ModelConfig
from nerv_clip.reading import read_text
from nerv_clip.runs.budget import Budget
from nerv_clip.runs.config import RunConfig
from nerv_clip.runs.run import Run, run_path
from nerv_clip.teacher.names import teacher_named
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.schedules import learning_rate
from nerv_clip.video.spec import VideoSpec
from nerv_clip.video.split import parse_split
from nerv_clip.video.video import checked_shots

MAX_SHOTS_BYTES = 16 << 20  # a line for each of a million frames


@dataclass(frozen=True)
class Options:
    """The checked values of all flags of a training command.

    ``budget`` is that of the run that goes on, None where none is stored.
    """

    data: VideoSpec
    shots: Literal["auto", "off"] | tuple[int, ...]
    cache_gb: float
    split: str
    shuffle: bool
    preset: str
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
    minutes: float | None
    more_minutes: float | None
    budget: Budget | None
    argv: tuple[str, ...]

    @property
    def teacher(self) -> tuple[str, str | None] | None:
        """Model and weights of the teacher; None where no flag needs one."""
        named = self.clip_model or self.clip_pretrained
        if not (named or self.model.predict_clip or self.model.clip_input):
            return None
        return teacher_named(self.clip_model, self.clip_pretrained)


def parse(argv: list[str]) -> Options:
    """Flags to `Options`; raises `InputError` for an unknown flag or a value out of range.

    Flags that are not given have the preset's value; with ``--eval_only``, the value of the run
    that is evaluated.
    """
    first = build_parser().parse_args(argv)
    run = _run_directory(first)
    defaults = defaults_of(first.preset)
    budget = _stored_budget(first, run)
    if first.eval_only or first.more_minutes or budget is not None:
        defaults = _defaults_of_run(run, first.weight) or defaults
    args = build_parser(defaults).parse_args(argv)
    model, train = _model_config(args), _train_config(args)
    train.check(model.predict_clip, model.clip_input)
    parse_split(args.data_split)
    learning_rate(train.lr_type)
    if args.clip_tap is not None and not args.predict_clip:
        raise InputError("--clip_tap places the CLIP head: it needs --predict_clip")
    if args.predict_dense and not args.predict_clip:
        raise InputError("--predict_dense needs --predict_clip")
    options = Options(
        data=VideoSpec(
            path=Path(args.data_path),
            crop=parse_size("--crop_list", args.crop_list),
            resize=parse_size("--resize_list", args.resize_list),
            start=args.vid_start,
            end=args.vid_end,
            step=args.vid_step,
            stream=args.stream,
        ),
        shots=parse_shots(args.shots),
        cache_gb=_at_least("--cache_gb", args.cache_gb, 0),
        split=args.data_split,
        shuffle=args.shuffle_data,
        preset=args.preset,
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
        minutes=_positive("--minutes", args.minutes),
        more_minutes=_positive("--more_minutes", args.more_minutes),
        budget=budget,
        argv=tuple(argv),
    )
    if train.clip_every > 1 and options.teacher is None:
        raise InputError("--clip_every needs a teacher: give --predict_clip or --clip_model")
    return options


def parse_size(flag: str, text: str) -> tuple[int, int] | None:
    """``"640_1280"`` as ``(640, 1280)``, height first; ``"-1"`` as None.

    Raises `InputError`, naming ``flag``, for another text.

    >>> parse_size("--crop_list", "640_1280")
    (640, 1280)
    """
    if text.strip() == "-1":
        return None
    try:
        height, width = (int(part) for part in text.split("_"))
    except ValueError:
        height = width = 0
    if min(height, width) < 1:
        raise InputError(f"{flag} {text!r} is not a size: give HEIGHT_WIDTH, such as 640_1280")
    return height, width


def parse_shots(value: str | tuple[int, ...]) -> Literal["auto", "off"] | tuple[int, ...]:
    """``auto``, ``off``, or the first frames of the shots, read from the file of this name.

    Such a file has one frame index a line; empty lines and those that begin with # are ignored. A
    tuple stays as it is: it comes from a run. Raises `InputError` for a file that cannot be used.
    """
    if isinstance(value, tuple):
        return value
    if value in ("auto", "off"):
        return cast(Literal["auto", "off"], value)
    try:
        text = read_text(Path(value), MAX_SHOTS_BYTES, linked=True)
    except InputError as error:
        raise InputError(f"--shots: {error} (give auto, off, or a text file)") from None
    lines = [line.strip() for line in text.removeprefix("\ufeff").splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        raise InputError(f"--shots: {value} contains no frame index: give one a line, or use off")
    for line in lines:
        if not re.fullmatch("[0-9]{1,9}", line):
            raise InputError(
                f"--shots: {line[:40]!r} in {value} is no frame index: give one a line, from 0"
            )
    return tuple(checked_shots([int(line) for line in lines]))


def _run_directory(args: argparse.Namespace) -> Path:
    name = "debug" if args.debug and args.outf is None else args.outf
    if os.sep in args.suffix:
        raise InputError(f"--suffix {args.suffix} is part of a name: it cannot contain {os.sep}")
    stem = re.sub("[\udc80-\udcff]", "_", Path(args.data_path).resolve().stem)  # bytes, no text
    run = run_path(name or stem or "run")
    if args.suffix:
        run = run.with_name(run.name + args.suffix)
    _check_names(run)
    return run


def _stored_budget(args: argparse.Namespace, run: Path) -> Budget | None:
    """The budget of a run that goes on; None where a new one is planned, or there is none."""
    limited = args.minutes is not None or args.more_minutes is not None
    anew = args.not_resume or args.overwrite or not Run(run).config.exists()
    budget = Run(run).read_config().budget if limited and not anew else None
    return None if budget is None else replace(budget, revisions=())


def _check_names(run: Path) -> None:
    """Raise `InputError` for names that no folder can have; it may not exist yet."""
    for name in (run, *map(Path, run.parts)):
        try:
            name.stat()
        except (OSError, ValueError) as error:  # ValueError: a NUL character
            if isinstance(error, ValueError) or error.errno == errno.ENAMETOOLONG:
                reason = getattr(error, "strerror", None) or error
                line = f"--outf {str(run)[:60]!r} cannot be a folder ({reason})"
                raise InputError(line) from None


def _defaults_of_run(path: Path, weight: str | None) -> Defaults | None:
    """The settings of the run that is evaluated; None where there is no run.

    A directory without a run takes them from the run of the checkpoint ``weight``.
    """
    run = Run(path)
    if not run.config.exists() and weight:
        run = Run(Path(weight).parent)
    if not run.config.exists():
        return None
    return defaults_of_config(run.read_config())


def defaults_of_config(config: RunConfig) -> Defaults:
    """The settings of a run as defaults of the flags."""
    video, teacher = config.video, config.teacher
    return Defaults(
        model=config.model,
        train=config.train,
        preset=config.preset,
        crop=video.crop,
        resize=video.resize,
        start=video.start,
        end=video.end,
        step=video.step,
        shots=video.source_shots,
        data_split=config.split.rule,
        shuffle_data=config.split.shuffled,
        clip_model=None if teacher is None else teacher.model,
        clip_pretrained=None if teacher is None else teacher.pretrained,
    )


def _positive(flag: str, value: float | None) -> float | None:
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"{flag} {value:g} is out of range: give more than 0")
    return value


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
    """Most flags have the name of their field; the others, and lists, are listed here."""
    parsed = {
        "grid": _numbers("--fc_hw", args.fc_hw, (int, int)) if args.fc_hw else None,
        "dec_strds": tuple(args.dec_strds) if args.dec_strds else None,
        "enc_strds": tuple(args.enc_strds),
        "enc_dim": _numbers("--enc_dim", args.enc_dim, (int, float)),
        "ks": _numbers("--ks", args.ks, (int, int, int)),
        "num_blks": _numbers("--num_blks", args.num_blks, (int, int)),
        "conv_type": _pair("--conv_type", args.conv_type),
        "grids": _grids(args.t_grids),
        "motion": args.motion_weight > 0,
        "clip_dim": args.clip_dim or 0,
        "clip_tap": args.clip_tap or 0,
    }
    same = {f.name: getattr(args, f.name) for f in fields(ModelConfig) if f.name not in parsed}
    return ModelConfig(**parsed, **same)


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
