"""NeRV-CLIP: a video as one small network that plays it and knows what is in it.

These are the names that a training, an evaluation and their readers need; what draws, stores or
compares has its own module, and `nerv_clip.verification`, `nerv_clip.search` and `nerv_clip.demo`
are packages of their own. A name's module is imported when it is first asked for, so that what
only reads run directories does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nerv_clip.cli.commands import run_session
    from nerv_clip.cli.forecast import Estimate, estimate
    from nerv_clip.cli.options import Options, main_guard, parse
    from nerv_clip.cli.parser import Parser
    from nerv_clip.cli.terminal import Terminal
    from nerv_clip.errors import InputError
    from nerv_clip.evaluation.evaluate import Evaluation, evaluate
    from nerv_clip.models.checkpoint import load_model
    from nerv_clip.models.config import Architecture, ModelConfig
    from nerv_clip.models.nerv_clip import NeRVClip, Output
    from nerv_clip.models.solver import solve
    from nerv_clip.runs.run import Run, find_runs, run_path
    from nerv_clip.search import load_run
    from nerv_clip.teacher.encoder import ClipEncoder, embed_video, load_clip_encoder
    from nerv_clip.training.config import TrainConfig
    from nerv_clip.training.trainer import EpochResult, Trainer
    from nerv_clip.video.split import frame_time, split_frames
    from nerv_clip.video.video import Video, VideoSpec, load_video

_PLACES = {
    "cli.parser": ["Parser"],
    "models.checkpoint": ["load_model"],
    "teacher.encoder": ["ClipEncoder", "embed_video", "load_clip_encoder"],
    "models.config": ["Architecture", "ModelConfig"],
    "video.split": ["frame_time", "split_frames"],
    "errors": ["InputError"],
    "cli.forecast": ["Estimate", "estimate"],
    "evaluation.evaluate": ["Evaluation", "evaluate"],
    "cli.options": ["Options", "main_guard", "parse"],
    "models.nerv_clip": ["NeRVClip", "Output"],
    "runs.run": ["Run", "find_runs", "run_path"],
    "search": ["load_run"],
    "cli.commands": ["run_session"],
    "models.solver": ["solve"],
    "cli.terminal": ["Terminal"],
    "training.config": ["TrainConfig"],
    "training.trainer": ["EpochResult", "Trainer"],
    "video.video": ["Video", "VideoSpec", "load_video"],
}
__all__ = [
    "Architecture",
    "ClipEncoder",
    "EpochResult",
    "Estimate",
    "Evaluation",
    "InputError",
    "ModelConfig",
    "NeRVClip",
    "Options",
    "Output",
    "Parser",
    "Run",
    "Terminal",
    "TrainConfig",
    "Trainer",
    "Video",
    "VideoSpec",
    "embed_video",
    "estimate",
    "evaluate",
    "find_runs",
    "frame_time",
    "load_clip_encoder",
    "load_model",
    "load_run",
    "load_video",
    "main_guard",
    "parse",
    "run_path",
    "run_session",
    "solve",
    "split_frames",
]

_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _PLACE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACE_OF[name]}"), name)
