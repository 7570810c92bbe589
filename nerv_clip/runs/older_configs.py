"""Older formats of ``config.json``, in the layout of the present one.

Format 1 describes one network, without shots. Format 0, from before run directories had a version,
differs from it in its layout (``clip`` for the video, flags of the command line, one flat
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
# settings that the oldest runs did not have, with the values that they imply
OLDEST: Json = {"slerp_loss_weight": 0.0, "motion_weight": 0.0, "bits": 32}
ARRAYS_RENAMED = {"disturbed": "perturbed"}  # in baselines.npz


def upgrade(content: Json, found: int) -> Json:
    """The content of a ``config.json`` of format ``found`` in the present layout, format 2.

    Raises KeyError where something is missing that every run of its format has.
    """
    if found == 0:
        content = _from_format_0(content)
    return _from_format_1(content) if found < 2 else {**content}


def _from_format_1(content: Json) -> Json:
    """One network draws the whole video, and the video is one shot."""
    network = content["architecture"]
    frames, height, width = (network[name] for name in ("frames", "height", "width"))
    return {
        **content,
        "model": {"segment_frames": 0, **content["model"]},
        "architecture": {
            "frames": frames,
            "height": height,
            "width": width,
            "shots": [0],
            "segments": [{"first": 0, "frames": frames, "network": network}],
        },
    }


def _from_format_0(content: Json) -> Json:
    """A format-0 ``config.json`` in the layout of format 1.

    Raises KeyError where something is missing that every run of format 0 has.
    """
    flags, video = content["flags"], content["clip"]
    identity = {**OLDEST, "motion": bool(content["architecture"].get("motion_tap"))}
    identity |= {RENAMED.get(name, name): value for name, value in content["identity"].items()}
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
    """How the teacher is loaded, which format 0 stored among the flags of the training only.

    A run that was trained without a teacher, and evaluated with one, stored only its name.
    """
    if not about:
        return None
    used = flags["predict_clip"] or flags["clip_input"]
    named = flags["clip_model"] or flags["clip_pretrained"]
    first = flags["clip_model"] if used or named else about["name"]
    model, pretrained = teacher_named(first, flags["clip_pretrained"])
    return {"model": model, "pretrained": pretrained, **about}


def _fields(config: type[ModelConfig] | type[TrainConfig], identity: Json) -> Json:
    names = {field.name for field in dataclasses.fields(config)}
    return {name: value for name, value in identity.items() if name in names}


def _size(text: str) -> list[int] | None:
    return None if text.strip() == "-1" else [int(part) for part in text.split("_")]
