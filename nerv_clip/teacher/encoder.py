"""The teacher: a frozen CLIP, always through open_clip, whatever its weights come from."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from nerv_clip.errors import InputError
from nerv_clip.files import atomic_write, make_folder, user_cache
from nerv_clip.video.video import Video

DEMO = Path(__file__).resolve().parents[2] / "checkpoints" / "demo_clip"
CONFIG = "open_clip_config.json"  # of a model that is a folder
LOCAL = "local-dir:"  # open_clip's schema for a folder with config and weights
PHRASES = "phrases.json"  # in such a folder: texts that a search compares with
WORDS = "words.txt"  # in such a folder: all the words that its text tower was trained with
RANDOM = "random:"  # --clip_pretrained random:SEED, to try the plumbing: it has no semantics


class ClipEncoder:
    """A CLIP model with its own preprocessing: pictures and texts into one space.

    ``name`` is open_clip's; ``id`` also names the weights and the preprocessing; ``dim`` is the
    width of an embedding; ``folder`` where it lies, None for one of open_clip's own. ``words`` are
    all that the encoder knows, or None where it has no such list. Made by `load_clip_encoder`.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        steps: list[Callable[[Any], Any]],
        tokenizer: Callable[[], Callable[[list[str]], Tensor]],
        folder: Path | None = None,
    ) -> None:
        self.name, self.model, self.steps, self.folder = name, model, steps, folder
        self.words = None if folder is None else _known_words(folder)
        self.id = f"{name}@{_fingerprint(model, steps)}"
        self._tokenizer = cache(tokenizer)  # asked for by the first text only: it is slow to build
        self.device = next(model.parameters()).device
        self.dim = self.images(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape[1]

    @torch.no_grad()
    def images(self, frames: Tensor) -> Tensor:
        """Embeddings of pictures: (B, 3, H, W), uint8 or float in [0, 1], to unit (B, dim)."""
        features = self.model.encode_image(self.preprocess(frames))  # type: ignore[operator]
        unit: Tensor = nn.functional.normalize(features.float(), dim=-1)
        return unit

    @torch.no_grad()
    def texts(self, queries: list[str]) -> Tensor:
        """Embeddings of texts, unit (len(queries), dim).

        Raises `InputError` for a word that the encoder does not know: it would be answered as if
        it meant something.
        """
        unknown = sorted({word for query in queries for word in self.unknown(query)})
        if unknown:
            named = ", ".join(f'"{word}"' for word in unknown)
            raise InputError(f"{self._who} doesn't know {named}: see the words in its words.txt")
        if not all(query.strip() for query in queries):
            raise InputError("an empty text says nothing: give some words")
        tokens = self._tokenizer()(queries).to(self.device)
        features = self.model.encode_text(tokens)  # type: ignore[operator]
        unit: Tensor = nn.functional.normalize(features.float(), dim=-1)
        return unit

    def unknown(self, query: str) -> list[str]:
        """The words of a query that are not among those the encoder was trained with."""
        if self.words is None:
            return []
        said = re.findall(r"[^\W\d_]+|\d", query.lower())  # as open_clip's tokenizer parts them
        return [word for word in dict.fromkeys(said) if word not in self.words]

    @property
    def _who(self) -> str:
        return "the demo encoder" if self.name == "demo" else f"the encoder {self.name}"

    def preprocess(self, frames: Tensor) -> Tensor:
        """open_clip's own steps on a batch of tensors: (B, 3, H, W) to (B, 3, h, w), normalised.

        Floats are rounded to 8 bits first: what is judged is what can be shown. A resized pixel
        may differ from PIL's by one level of 255, and by more in a few places where an overshoot
        is cut; a test says in how many.
        """
        if frames.is_floating_point():
            frames = frames.clamp(0, 1).mul(255).round().byte()
        frames = frames.to(self.device)
        for step in self.steps[:-1]:
            frames = _on_tensor(step, frames)
        normalised: Tensor = self.steps[-1](frames.float() / 255)
        return normalised


def _on_tensor(step: Callable[[Any], Any], frames: Tensor) -> Tensor:
    from torchvision.transforms import Resize, functional  # with open_clip, and slow to import

    any_step: Any = step
    if isinstance(step, Resize):
        size = step(frames[:1, :1]).shape[-2:]
    elif type(step).__name__ == "ResizeKeepRatio":
        # open_clip's class asks a PIL image for its size: a stand-in answers for the batch
        stand_in = SimpleNamespace(size=(frames.shape[-1], frames.shape[-2]))
        size = any_step.get_params(stand_in, any_step.size, any_step.longest)
    else:
        result: Tensor = step(frames)
        return result
    # PIL's two passes, 8 bits after each; since Pillow 13 rows go first where they shrink more
    rows, columns = (before / after for before, after in zip(frames.shape[-2:], size, strict=True))
    between = (size[0], frames.shape[-1]) if rows > max(columns, 1) else (frames.shape[-2], size[1])
    for target in (between, size):
        frames = functional.resize(frames, list(target), any_step.interpolation, antialias=True)
    return frames


def _fingerprint(model: nn.Module, steps: list[Callable[[Any], Any]]) -> str:
    digest = hashlib.sha256(repr(steps).encode())
    for key, value in model.state_dict().items():
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def load_clip_encoder(
    model: str, pretrained: str | None = None, device: torch.device | str = "cpu"
) -> ClipEncoder:
    """The teacher called ``model``: an open_clip name, ``hf-hub:…``, ``local-dir:…`` or ``demo``.

    ``pretrained`` is a tag of open_clip, a local weights file, or ``random:SEED`` for untrained
    weights. Raises `InputError` where the model or its weights cannot be had.
    """
    import open_clip  # takes seconds

    name = f"{LOCAL}{DEMO}" if model == "demo" else model
    if model == "demo" and not (DEMO / CONFIG).exists():
        raise InputError("--clip_model demo: checkpoints/demo_clip is missing from this checkout")
    seed = _random_seed(pretrained)
    if seed is None and not pretrained and ":" not in name:
        raise InputError(f"--clip_model {model} needs --clip_pretrained: a tag, or a weights file")
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        try:
            network, _, transform = open_clip.create_model_and_transforms(
                name,
                pretrained=None if seed is not None else pretrained,
                device=torch.device(device),
                require_pretrained=seed is None,
            )
        except Exception as error:  # open_clip raises a dozen types
            raise _refusal(model, pretrained, error, open_clip.list_models()) from None
    kept = ("MaybeConvertMode", "MaybeToTensor")  # steps that only concern PIL images
    steps = [step for step in transform.transforms if type(step).__name__ not in kept]
    label = model if seed is None else f"{model} (random weights, no semantics)"
    return ClipEncoder(
        label, network.eval(), steps, lambda: load_tokenizer(name), _local_folder(name)
    )


def _local_folder(name: str) -> Path | None:
    return Path(name.removeprefix(LOCAL)) if name.startswith(LOCAL) else None


def _folder_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder / CONFIG} cannot be read ({error})") from None
    return config


def load_tokenizer(name: str) -> Callable[[list[str]], Tensor]:
    """open_clip's tokenizer of a model.

    A relative ``bpe_path`` in the config of a local folder is a file in that folder; open_clip
    itself would take it from the directory that the program was started in.
    """
    import open_clip

    folder, options = _local_folder(name), {}
    if folder is not None:
        own = _folder_config(folder)["model_cfg"].get("text_cfg", {}).get("tokenizer_kwargs", {})
        if "bpe_path" in own:
            options["bpe_path"] = str(folder / own["bpe_path"])
    tokenizer: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(name, **options)
    return tokenizer


def _known_words(folder: Path) -> frozenset[str] | None:
    path = folder / WORDS
    return frozenset(path.read_text().split()) if path.exists() else None


def _random_seed(pretrained: str | None) -> int | None:
    if not pretrained or not pretrained.startswith(RANDOM):
        return None
    seed = pretrained.removeprefix(RANDOM)
    if not seed.isdecimal() or int(seed) >= 2**63:
        raise InputError(f"--clip_pretrained {pretrained}: give random:SEED, a number")
    return int(seed)


def _refusal(model: str, pretrained: str | None, error: Exception, known: list[str]) -> InputError:
    local = pretrained and (Path(pretrained).exists() or "/" in pretrained)
    reason = str(error).splitlines()[0][:150] if str(error) else type(error).__name__
    if ":" not in model and model not in ("demo", *known):
        return InputError(
            f"--clip_model {model} is unknown to open_clip: it has names such as ViT-B-32, and "
            "takes hf-hub:ORG/NAME, local-dir:FOLDER and demo"
        )
    if local or model.startswith(LOCAL) or model == "demo":
        what = pretrained if local else model
        return InputError(f"the CLIP weights in {what} cannot be loaded for {model} ({reason})")
    return InputError(
        f"the CLIP weights {model} {pretrained or ''} cannot be downloaded ({reason}): give a "
        "local file with --clip_pretrained FILE, or use --clip_model demo"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Without open_clip's log lines: what matters of them is in the `InputError`."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def known_dim(model: str) -> int | None:
    """The width of a teacher's embeddings, by its config alone; None for a hub's model."""
    folder = DEMO if model == "demo" else _local_folder(model)
    if folder is not None:
        config = _folder_config(folder)["model_cfg"]
    elif ":" in model:  # whose config open_clip would download
        return None
    else:
        import open_clip

        config = open_clip.get_model_config(model) or {}
    dim: int | None = config.get("embed_dim")
    return dim


def check_dim(encoder: ClipEncoder, clip_dim: int) -> None:
    """Raise `InputError` where ``clip_dim`` is not the teacher's width."""
    if encoder.dim != clip_dim:
        raise InputError(
            f"the teacher {encoder.name} gives {encoder.dim} numbers, not the {clip_dim} of "
            "--clip_dim or of the checkpoint: leave that flag out, or name the teacher of its "
            "training"
        )


def embed_video(
    encoder: ClipEncoder,
    video: Video,
    *,
    cache_dir: Path | None = None,
    batch: int = 16,
    progress: bool = True,
) -> Tensor:
    """The true embeddings of every frame: unit (T, dim) float32, on the CPU.

    They are kept on disk by the video's hash and the encoder's id, so another video, crop, model,
    weights file or preprocessing is computed anew. ``cache_dir`` defaults to the user's cache.
    """
    folder = cache_dir or user_cache() / "embeddings"
    key = hashlib.sha256(f"{video.hash} {encoder.id}".encode()).hexdigest()[:32]
    path = folder / f"{re.sub(r'[^A-Za-z0-9.-]+', '_', encoder.name)[-40:]}-{key}.npy"
    cached = _read_cache(path, (len(video), encoder.dim))
    if cached is not None:
        return cached
    parts = []
    with tqdm(total=len(video), desc="CLIP", unit="frame", delay=2, disable=not progress) as bar:
        for start in range(0, len(video), batch):
            frames = video.read(range(start, min(start + batch, len(video))))
            parts.append(encoder.images(frames).cpu())
            bar.update(len(frames))
    embeddings = torch.cat(parts)
    make_folder(folder)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        np.save(file, embeddings.numpy())
    return embeddings


def _read_cache(path: Path, shape: tuple[int, int]) -> Tensor | None:
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if values.shape != shape or not np.isfinite(values).all():
        return None
    with suppress(OSError):  # another user's file
        os.utime(path)  # so that a cleaner by age keeps what is used
    return torch.from_numpy(values)
