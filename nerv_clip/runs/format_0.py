"""Format 0 of ``config.json``: a run that was written before run directories had a version.

It differs from format 1 in its layout (``clip`` for the video, flags of the command line, one flat
``identity``) and in one name (``arc_weight``, now ``slerp_loss_weight``).
"""

from __future__ import annotations

import dataclasses
from typing import Any

from nerv_clip.models.config import ModelConfig
from nerv_clip.teacher.names import teacher_named
from nerv_clip.training.config import TrainConfig

Json = dict[str, Any]
RENAMED = {"arc_weight": "slerp_loss_weight"}


def upgrade(content: Json) -> Json:
    """The content of a format-0 ``config.json`` in the layout of format 1.

    Raises KeyError where something is missing that every run of format 0 has.
    """
    flags, video = content["flags"], content["clip"]
    identity = {RENAMED.get(name, name): value for name, value in content["identity"].items()}
    return {
        "video": {
            **{name: video[name] for name in ("path", "hash", "frames", "height", "width")},
            "fps": video["fps"],
            "timestamps": video["timestamps"],
            "crop": _size(flags["crop_list"]),
            "resize": _size(flags["resize_list"]),
            "start": flags["vid_start"],
            "end": flags["vid_end"],
            "step": flags["vid_step"],
        },
        "split": {"rule": flags["data_split"], "shuffled": flags["shuffle_data"]},
        "teacher": _teacher(content.get("teacher"), flags),
        "preset": flags["preset"],
        "model": _fields(ModelConfig, identity),
        "train": _fields(TrainConfig, identity),
        "debug": identity["debug"],
        "weight": identity["weight"],
        "processes": identity["processes"],
        "architecture": content["architecture"],
        "parameters": content["parameters"],
        "versions": content["versions"],
        "commit": content["commit"],
    }


def _teacher(about: Json | None, flags: Json) -> Json | None:
    """Format 0 kept how a teacher is loaded among the flags only."""
    if not about:
        return None
    model, pretrained = teacher_named(flags["clip_model"], flags["clip_pretrained"])
    return {"model": model, "pretrained": pretrained, **about}


def _fields(config: type[ModelConfig] | type[TrainConfig], identity: Json) -> Json:
    names = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in identity.items() if name in names}


def _size(text: str) -> list[int] | None:
    return None if text.strip() == "-1" else [int(part) for part in text.split("_")]
