"""What a command works on: the video with its split, and the teacher's true embeddings."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from nerv_clip.cli.options import Options
from nerv_clip.cli.terminal import Terminal
from nerv_clip.teacher.encoder import ClipEncoder, check_dim, embed_video, load_clip_encoder
from nerv_clip.video.split import Split, split_frames
from nerv_clip.video.video import Video, load_video


@dataclass(frozen=True)
class Inputs:
    """The video, its split, and, where a teacher is asked for, the true embeddings (T, dim)."""

    video: Video
    split: list[Split]
    teacher: ClipEncoder | None
    true: Tensor | None
    device: str
    terminal: Terminal


def load_inputs(options: Options, device: str, terminal: Terminal) -> Inputs:
    """Read the video and ask the teacher; raises `InputError` for what cannot be used."""
    progress = not terminal.quiet
    video = load_video(options.data, cache_gb=options.cache_gb, device=device, progress=progress)
    split = split_frames(len(video), options.split, options.shuffle)
    if "val" not in split:
        terminal.say(f"--data_split {options.split} holds out no frame: val figures stay empty")
    if options.teacher is None:
        return Inputs(video, split, None, None, device, terminal)
    teacher = load_clip_encoder(*options.teacher, device=device)
    if options.model.clip_dim and (options.model.predict_clip or options.model.clip_input):
        check_dim(teacher, options.model.clip_dim)
    true = embed_video(teacher, video, progress=progress)
    return Inputs(video, split, teacher, true, device, terminal)
