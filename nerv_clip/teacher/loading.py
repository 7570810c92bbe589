"""Load a teacher: an open_clip model, local weights, a local folder, or the demo encoder."""

from __future__ import annotations

import gzip
import io
import logging
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from nerv_clip.errors import InputError
from nerv_clip.reading import read_bytes
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.teacher.names import (
    CONFIG,
    DEMO,
    LOCAL,
    RANDOM,
    local_folder,
    read_folder_config,
)
from nerv_clip.teacher.preprocessing import tensor_steps

MAX_VOCABULARY = 16 << 20  # bytes; CLIP's own vocabulary has 3.2 MB, and 1.4 MB when compressed


def load_clip_encoder(
    clip_model: str, clip_pretrained: str | None = None, device: torch.device | str = "cpu"
) -> ClipEncoder:
    """Load a frozen CLIP model as the teacher.

    ``clip_model`` is an open_clip name, ``hf-hub:ORG/NAME``, ``local-dir:FOLDER`` or ``demo``.
    ``clip_pretrained`` is an open_clip tag, a local weights file, or ``random:SEED`` for untrained
    weights; a folder, a hub's model and the demo encoder bring their own. Raises `InputError`
    where the model is unknown, or its weights cannot be loaded or downloaded.

    >>> load_clip_encoder("demo").texts(["a red mug"]).shape
    torch.Size([1, 512])
    """
    import open_clip  # takes seconds

    name = f"{LOCAL}{DEMO}" if clip_model == "demo" else clip_model
    if clip_model == "demo" and not (DEMO / CONFIG).exists():
        raise InputError("`clip_model` demo: checkpoints/demo_clip is missing from this checkout")
    seed = _random_seed(clip_pretrained)
    if seed is None and not clip_pretrained and ":" not in name:
        raise InputError(
            f"`clip_model` {clip_model} needs `clip_pretrained`: a tag, or a weights file"
        )
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        try:
            network, _, transform = open_clip.create_model_and_transforms(
                name,
                pretrained=None if seed is not None else clip_pretrained,
                device=torch.device(device),
                require_pretrained=seed is None,
            )
        except Exception as error:  # open_clip raises a dozen types
            raise _refusal(clip_model, clip_pretrained, error, open_clip.list_models()) from None
    label = clip_model if seed is None else f"{clip_model} (random weights, no semantics)"
    return ClipEncoder(
        label,
        network.eval(),
        tensor_steps(transform),
        lambda: load_tokenizer(name),
        local_folder(name),
        source=(clip_model, clip_pretrained),
    )


def load_tokenizer(name: str) -> Callable[[list[str]], Tensor]:
    """open_clip's tokenizer of a model.

    A relative ``bpe_path`` in the config of a local folder is a file in that folder; open_clip
    itself would take it from the directory that the program was started in.
    """
    import open_clip

    folder, options = local_folder(name), {}
    if folder is not None:
        text = read_folder_config(folder)["model_cfg"].get("text_cfg", {})
        own = text.get("tokenizer_kwargs") or {}
        if "bpe_path" in own:
            path = folder / str(own["bpe_path"])
            _check_vocabulary(path)
            options["bpe_path"] = str(path)
    try:
        tokenizer: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(name, **options)
    except Exception as error:  # open_clip raises a dozen types
        raise InputError(f"the tokenizer of {name} cannot be loaded ({error})") from None
    return tokenizer


def _check_vocabulary(path: Path) -> None:
    """Raise `InputError` unless a compressed vocabulary can be read, and is small enough."""
    data = read_bytes(path, MAX_VOCABULARY, linked=True)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            text = file.read(MAX_VOCABULARY + 1)
        text.decode()
    except (OSError, EOFError, zlib.error, UnicodeDecodeError):
        raise InputError(f"{path} is damaged: restore the encoder's folder") from None
    if len(text) > MAX_VOCABULARY:
        raise InputError(f"{path} unpacks to more than {MAX_VOCABULARY:,} bytes")


def _random_seed(pretrained: str | None) -> int | None:
    if not pretrained or not pretrained.startswith(RANDOM):
        return None
    seed = pretrained.removeprefix(RANDOM)
    if not seed.isdecimal() or int(seed) >= 2**63:
        raise InputError(f"`clip_pretrained` {pretrained}: give random:SEED, a number")
    return int(seed)


def _refusal(model: str, pretrained: str | None, error: Exception, known: list[str]) -> InputError:
    local = pretrained and (Path(pretrained).exists() or "/" in pretrained)
    reason = str(error).splitlines()[0][:150] if str(error) else type(error).__name__
    if ":" not in model and model not in ("demo", *known):
        return InputError(
            f"`clip_model` {model} is unknown to open_clip: it has names such as ViT-B-32, and "
            "takes hf-hub:ORG/NAME, local-dir:FOLDER and demo"
        )
    if local or model.startswith(LOCAL) or model == "demo":
        what = pretrained if local else model
        return InputError(f"the CLIP weights in {what} cannot be loaded for {model} ({reason})")
    return InputError(
        f"the CLIP weights {model} {pretrained or ''} cannot be downloaded ({reason}): give a "
        "local weights file as `clip_pretrained`, or use the demo encoder, `clip_model` demo"
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence open_clip's log; the `InputError` has the reason."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def known_dim(model: str) -> int | None:
    """Width of a teacher's embeddings, from its config alone; None for a model of a hub."""
    folder = local_folder(model)
    if folder is not None:
        config = read_folder_config(folder)["model_cfg"]
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
            f"the teacher {encoder.name} has embeddings of width {encoder.dim}, but `clip_dim` or "
            f"the checkpoint has {clip_dim}: leave out `clip_dim`, or name the teacher of the run"
        )
