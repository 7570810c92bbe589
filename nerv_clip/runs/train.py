"""Train a run from Python: the public generator of epochs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nerv_clip.models.config import ModelConfig
from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.config import SplitRecord
from nerv_clip.runs.inputs import embed
from nerv_clip.runs.run import Run
from nerv_clip.runs.run_training import RunTraining
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.training.config import TrainConfig
from nerv_clip.training.distributed import resolve_device
from nerv_clip.training.presets import preset as named_preset
from nerv_clip.training.results import EpochResult
from nerv_clip.video.split import split_frames
from nerv_clip.video.video import Video


def train(
    video: Video,
    out: Path | str,
    *,
    data_split: str = "1_1_1",
    shuffle_data: bool = False,
    preset: str = "default",
    model: ModelConfig | None = None,
    config: TrainConfig | None = None,
    teacher: ClipEncoder | None = None,
    weight: Path | str | None = None,
    device: str = "auto",
    resume: bool = True,
    progress: Progress = SILENT,
) -> Iterator[EpochResult]:
    """Train one network on a video into the run directory ``out``; yields every epoch.

    ``model`` and ``config`` are the settings of the network and of the training; by default those
    of ``preset``. A ``teacher`` is needed for ``predict_clip`` and ``clip_input``; ``weight`` is a
    checkpoint to start from. Settings are checked at once; training begins when the first epoch
    is requested. If ``out`` contains an unfinished training of the same video and settings, it is
    resumed, or deleted and started again with ``resume=False``. A generator that is closed early
    has saved its state. The run is evaluated after the last epoch.

    Raises `InputError` for settings that do not fit each other or the video, and if ``out`` is
    the run of another training.
    """
    place = resolve_device(device)
    default_model, default_config = named_preset(preset)
    model, config = model or default_model, config or default_config
    config.check(model.predict_clip, model.clip_input)  # before the teacher embeds the frames
    split = split_frames(len(video), data_split, shuffle_data, video.shots)
    training = RunTraining(
        Run(out),
        embed(video, split, teacher, config.clip_every, progress),
        model,
        config,
        split=SplitRecord(rule=data_split, shuffled=shuffle_data),
        device=place,
        preset=preset,
        weight=None if weight is None else Path(weight),
        progress=progress,
    )
    return _epochs(training, resume)


def _epochs(training: RunTraining, resume: bool) -> Iterator[EpochResult]:
    training.run.create()
    with training.run.locked(training.progress):
        training.begin(resume=resume)
        yield from training.fit()
        training.finish()
