"""NeRV-CLIP: a video as one small network that plays it and knows what is in it.

These are the public names; scripts and the app need no others.
"""

from nerv_clip.arguments import Parser
from nerv_clip.clip_encoder import ClipEncoder, embed_clip, load_clip_encoder
from nerv_clip.config import Architecture, ModelConfig, TrainConfig
from nerv_clip.coordinates import frame_time, split_frames
from nerv_clip.errors import InputError
from nerv_clip.evaluation import Evaluation, evaluate
from nerv_clip.flags import Options, main_guard, parse
from nerv_clip.model import NeRVClip, Output
from nerv_clip.run import Run, find_runs, load_model, run_path
from nerv_clip.search import load_run
from nerv_clip.session import run_session
from nerv_clip.sizing import solve
from nerv_clip.terminal import Terminal
from nerv_clip.training import EpochResult, Trainer
from nerv_clip.video import Clip, ClipSpec, load_clip

__all__ = [
    "Architecture",
    "Clip",
    "ClipEncoder",
    "ClipSpec",
    "EpochResult",
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
    "embed_clip",
    "evaluate",
    "find_runs",
    "frame_time",
    "load_clip",
    "load_clip_encoder",
    "load_model",
    "load_run",
    "main_guard",
    "parse",
    "run_path",
    "run_session",
    "solve",
    "split_frames",
]
