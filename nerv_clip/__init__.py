"""NeRV-CLIP: a video as one small neural network that plays it and can be searched by text.

The public names. Their modules are imported when a name is first used, so that code which only
reads run directories does not wait for torch. docs/python.md has an example of each.
"""

import sys
from typing import TYPE_CHECKING

from nerv_clip.lazy_names import lazy_names

if sys.platform == "win32":
    raise ImportError("NeRV-CLIP runs on Linux and macOS: on Windows, use it inside WSL")

if TYPE_CHECKING:
    from nerv_clip.errors import InputError
    from nerv_clip.evaluation.results import Evaluation, Metrics
    from nerv_clip.models.checkpoint import load_model
    from nerv_clip.models.config import Architecture, ModelConfig
    from nerv_clip.models.nerv_clip import NeRVClip, Output
    from nerv_clip.models.solver import solve, solve_video
    from nerv_clip.models.video_network import VideoNetwork
    from nerv_clip.progress import Progress
    from nerv_clip.runs.config import RunConfig
    from nerv_clip.runs.evaluation import evaluate
    from nerv_clip.runs.finding import find_runs
    from nerv_clip.runs.run import Run, run_path
    from nerv_clip.runs.train import train
    from nerv_clip.search import load_run
    from nerv_clip.teacher.embeddings import embed_video
    from nerv_clip.teacher.encoder import ClipEncoder
    from nerv_clip.teacher.loading import load_clip_encoder
    from nerv_clip.training.builder import build_network
    from nerv_clip.training.config import TrainConfig
    from nerv_clip.training.presets import preset
    from nerv_clip.training.results import EpochResult
    from nerv_clip.training.trainer import Trainer
    from nerv_clip.verification import verify
    from nerv_clip.video.spec import VideoSpec
    from nerv_clip.video.split import split_frames
    from nerv_clip.video.times import frame_time
    from nerv_clip.video.video import Video, load_video

__all__ = [
    "Architecture",
    "ClipEncoder",
    "EpochResult",
    "Evaluation",
    "InputError",
    "Metrics",
    "ModelConfig",
    "NeRVClip",
    "Output",
    "Progress",
    "Run",
    "RunConfig",
    "TrainConfig",
    "Trainer",
    "Video",
    "VideoNetwork",
    "VideoSpec",
    "build_network",
    "embed_video",
    "evaluate",
    "find_runs",
    "frame_time",
    "load_clip_encoder",
    "load_model",
    "load_run",
    "load_video",
    "preset",
    "run_path",
    "solve",
    "solve_video",
    "split_frames",
    "train",
    "verify",
]

__getattr__ = lazy_names(
    __name__,
    {
        "errors": ["InputError"],
        "evaluation.results": ["Evaluation", "Metrics"],
        "models.checkpoint": ["load_model"],
        "models.config": ["Architecture", "ModelConfig"],
        "models.nerv_clip": ["NeRVClip", "Output"],
        "models.solver": ["solve", "solve_video"],
        "models.video_network": ["VideoNetwork"],
        "progress": ["Progress"],
        "runs.config": ["RunConfig"],
        "runs.evaluation": ["evaluate"],
        "runs.finding": ["find_runs"],
        "runs.run": ["Run", "run_path"],
        "runs.train": ["train"],
        "search": ["load_run"],
        "teacher.embeddings": ["embed_video"],
        "teacher.encoder": ["ClipEncoder"],
        "teacher.loading": ["load_clip_encoder"],
        "training.builder": ["build_network"],
        "training.config": ["TrainConfig"],
        "training.presets": ["preset"],
        "training.results": ["EpochResult"],
        "training.trainer": ["Trainer"],
        "verification": ["verify"],
        "video.spec": ["VideoSpec"],
        "video.split": ["split_frames"],
        "video.times": ["frame_time"],
        "video.video": ["Video", "load_video"],
    },
)
