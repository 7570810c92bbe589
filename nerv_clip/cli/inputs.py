"""What a command works on: the clip with its split, and the teacher's true embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nerv_clip.cli.options import Options
from nerv_clip.cli.terminal import Terminal
from nerv_clip.teacher.encoder import ClipEncoder, check_dim, embed_clip, load_clip_encoder
from nerv_clip.video.split import Split, split_frames
from nerv_clip.video.video import Clip, load_clip


@dataclass(frozen=True)
class Inputs:
    """The clip, its split, and, where a teacher is asked for, the true embeddings (T, dim)."""

    clip: Clip
    split: list[Split]
    teacher: ClipEncoder | None
    true: Tensor | None
    device: str
    terminal: Terminal


def load_inputs(options: Options, device: str, terminal: Terminal) -> Inputs:
    """Read the clip and ask the teacher; raises `InputError` for what cannot be used."""
    progress = not terminal.quiet
    clip = load_clip(options.data, cache_gb=options.cache_gb, device=device, progress=progress)
    split = split_frames(len(clip), options.split, options.shuffle)
    if "val" not in split:
        terminal.say(f"--data_split {options.split} holds out no frame: val figures stay empty")
    if options.teacher is None:
        return Inputs(clip, split, None, None, device, terminal)
    teacher = load_clip_encoder(*options.teacher, device=device)
    if options.model.clip_dim and (options.model.predict_clip or options.model.clip_input):
        check_dim(teacher, options.model.clip_dim)
    true = embed_clip(teacher, clip, progress=progress)
    return Inputs(clip, split, teacher, true, device, terminal)
