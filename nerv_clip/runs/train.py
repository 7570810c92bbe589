"""Train a run from Python: the public generator of epochs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nerv_clip.models.config import ModelConfig
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.config import SplitRecord
from nerv_clip.runs.inputs import embedded
from nerv_clip.runs.run import Run
from nerv_clip.runs.training import RunTraining
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.distributed import resolve_device
from nerv_clip.training.results import EpochResult
from nerv_clip.video.split import split_frames
from nerv_clip.video.video import Video


def train(
    video: Video,
    out: Path | str,
    *,
    data_split: str = "1_1_1",
    model: ModelConfig | None = None,
    config: TrainConfig | None = None,
    teacher: ClipEncoder | None = None,
    device: str = "auto",
    resume: bool = True,
    progress: Progress = SILENT,
) -> Iterator[EpochResult]:
    """Train one network on a video into the run directory ``out``, yielding every epoch.

    The run is evaluated after the last epoch. Where ``out`` contains an unfinished training of the
    same video and settings, it is resumed, or started again with ``resume=False``; a generator
    that is closed early has saved its state. ``model`` and ``config`` are the network's and the
    training's settings; a ``teacher`` is needed for ``predict_clip`` and ``clip_input``. Raises
    `InputError` for settings that do not fit each other or the video, and where ``out`` is the
    run of another training.
    """
    place = resolve_device(device)
    config = config or TrainConfig()
    inputs = embedded(video, split_frames(len(video), data_split), teacher, progress)
    training = RunTraining(
        Run(Path(out)),
        inputs,
        model or ModelConfig(),
        config,
        split=SplitRecord(rule=data_split, shuffled=False),
        device=place,
        progress=progress,
    )
    training.run.create()
    with training.run.locked():
        training.begin(resume=resume)
        yield from training.fit()
        training.finish()
