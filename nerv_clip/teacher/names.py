"""Names of teachers, and the files of a teacher's folder. Imports neither torch nor open_clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nerv_clip.errors import InputError
from nerv_clip.reading import read_json

DEMO = Path(__file__).resolve().parents[2] / "checkpoints" / "demo_clip"
LOCAL = "local-dir:"  # open_clip's prefix for a folder with a config and weights
RANDOM = "random:"  # pretrained="random:SEED": untrained weights, to try the commands without any
CONFIG = "open_clip_config.json"  # in such a folder: the model, as open_clip describes it
PHRASES = "phrases.json"  # in such a folder, optional: texts that a search compares queries with
WORDS = "words.txt"  # in such a folder, optional: all words that the text tower was trained with
MAX_TEXT = 4 << 20  # bytes of a list of words; a large dictionary of English has 4 MB


def teacher_named(model: str | None, pretrained: str | None) -> tuple[str, str | None]:
    """The model and its weights, with defaults in place of None.

    The default model is ViT-B-32, and its default weights are laion2b_s34b_b79k. Other models of
    open_clip have no default weights; the demo encoder, a folder and a hub's model have their own.
    """
    name = model or "ViT-B-32"
    return name, pretrained or ("laion2b_s34b_b79k" if name == "ViT-B-32" else None)


def local_folder(model: str) -> Path | None:
    """The folder that a ``local-dir:`` name or ``demo`` means; None for other names."""
    if model == "demo":
        return DEMO
    return Path(model.removeprefix(LOCAL)) if model.startswith(LOCAL) else None


def read_folder_config(folder: Path) -> dict[str, Any]:
    """The content of the folder's `CONFIG`; raises `InputError` where it cannot be read."""
    config = read_json(folder / CONFIG, linked=True)
    model = config.get("model_cfg")
    if not isinstance(model, dict) or not all(
        isinstance(model.get(part, {}), dict) for part in ("text_cfg", "vision_cfg")
    ):
        raise InputError(f"{folder / CONFIG} does not describe a model of open_clip")
    return config
