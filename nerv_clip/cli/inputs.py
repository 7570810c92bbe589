"""Load the inputs of a training command."""

from __future__ import annotations

from nerv_clip.cli.options import Options
from nerv_clip.progress import Progress
from nerv_clip.runs.inputs import Inputs, embed
from nerv_clip.teacher.loading import check_dim, load_clip_encoder
from nerv_clip.video.split import split_frames
from nerv_clip.video.video import load_video


def load_inputs(options: Options, device: str, progress: Progress) -> Inputs:
    """Read the video and load the teacher; raises `InputError` for what cannot be used."""
    video = load_video(
        options.data,
        shots=options.shots,
        cache_gb=options.cache_gb,
        device=device,
        progress=progress,
    )
    split = split_frames(len(video), options.split, options.shuffle, video.shots)
    if "val" not in split:
        progress.message(
            f"note: no frame is held out by --data_split {options.split}, so there are no held-out "
            "metrics (3_3_4 holds out the last of every 4 frames)"
        )
    if options.teacher is None:
        return Inputs(video, split)
    teacher = load_clip_encoder(*options.teacher, device=device)
    if options.model.clip_dim and (options.model.predict_clip or options.model.clip_input):
        check_dim(teacher, options.model.clip_dim)  # before the frames are embedded
    return embed(video, split, teacher, options.train.clip_every, progress)
