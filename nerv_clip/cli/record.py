"""What ``config.json`` says of a run, and what a resume must share with it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

import torch

from nerv_clip.cli.options import FLAG_OF, Options, renamed
from nerv_clip.errors import InputError
from nerv_clip.files import file_hash
from nerv_clip.models.config import Architecture
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.solver import decoder_parameters, head_parameters
from nerv_clip.runs.run import Run, git_commit, versions
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.video.video import Video


def record(
    options: Options, video: Video, teacher: ClipEncoder | None, processes: int, arch: Architecture
) -> dict[str, Any]:
    """The content of ``config.json``, in JSON's own types.

    ``identity`` holds all that makes two trainings the same, under the names of the fields.
    """
    identity = {
        "clip": video.hash,
        "data_split": options.split + (" shuffled" if options.shuffle else ""),
        "teacher": None if teacher is None else teacher.id,
        **dataclasses.asdict(options.model),
        **dataclasses.asdict(options.train),
        "debug": options.debug,
        "weight": None if options.weight is None else file_hash(options.weight),
        "processes": processes,
        "network": arch.plain(),
    }
    with torch.device("meta"):  # only counted
        model = NeRVClip(arch, with_encoder=False)
    content = {
        "flags": options.asked,
        "identity": identity,
        "architecture": arch.plain(),
        "parameters": {
            "decoder": decoder_parameters(model),
            "clip_head": head_parameters(model),
        },
        "clip": {
            "path": str(options.data.path),
            "hash": video.hash,
            "frames": len(video),
            "height": video.height,
            "width": video.width,
            "fps": video.fps,
            "timestamps": list(video.timestamps),
        },
        "teacher": teacher and {"name": teacher.name, "id": teacher.id, "dim": teacher.dim},
        "seed": options.train.seed,
        "versions": versions(),
        "commit": git_commit(),
    }
    return dict(json.loads(json.dumps(content)))


def check_same(run: Run, identity: dict[str, Any], keys: Iterable[str] | None = None) -> None:
    """Raise `InputError`, naming the flags, where a run was made with another identity.

    Only ``keys`` are compared, if given.
    """
    stored = renamed(run.read_config()["identity"])
    differing = [key for key in keys or identity if stored.get(key) != identity[key]]
    if differing:
        flags = ", ".join(dict.fromkeys(FLAG_OF.get(key, f"--{key}") for key in differing))
        raise InputError(
            f"{run.path} was trained with other values of {flags}: repeat them, choose another "
            "--outf, or start again with --not_resume"
        )
