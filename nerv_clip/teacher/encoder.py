"""The teacher: a frozen CLIP model with its own preprocessing and tokenizer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from nerv_clip.errors import InputError
from nerv_clip.reading import read_text
from nerv_clip.teacher.names import MAX_TEXT, WORDS
from nerv_clip.teacher.preprocessing import Step, preprocess


class ClipEncoder:
    """A frozen CLIP model: images and texts to unit vectors of one space.

    Attributes: ``name``, for display; ``id``, which also identifies the weights and the
    preprocessing; ``dim``, the width of an embedding; ``source``, the arguments of
    `load_clip_encoder` that gave it; ``folder``, where it lies, None for one of open_clip's own;
    ``words``, all words that it was trained with, None where it has no such list. Made by
    `load_clip_encoder`.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        steps: Sequence[Step],
        tokenizer: Callable[[], Callable[..., Tensor]],
        folder: Path | None = None,
        source: tuple[str, str | None] | None = None,
    ) -> None:
        self.name, self.model, self.folder = name, model, folder
        self.source = source or (name, None)
        self.steps = list(steps)
        self.words = None if folder is None else _known_words(folder)
        self.id = f"{name}@{_fingerprint(model, self.steps)}"
        self._tokenizer = cache(tokenizer)  # slow to build, so only for the first text
        self.device = next(model.parameters()).device
        self.dim = self.images(torch.zeros(1, 3, 32, 32, dtype=torch.uint8)).shape[1]

    @torch.no_grad()
    def images(self, frames: Tensor) -> Tensor:
        """Embeddings of images: (B, 3, H, W), uint8 or float in [0, 1], to unit (B, dim)."""
        pixels = preprocess(frames.to(self.device), self.steps)
        features = self.model.encode_image(pixels)  # type: ignore[operator]
        unit: Tensor = nn.functional.normalize(features.float(), dim=-1)
        return unit

    @torch.no_grad()
    def texts(self, queries: list[str]) -> Tensor:
        """Embeddings of texts: unit (len(queries), dim).

        Raises `InputError` for an empty text, for one that is longer than the encoder reads, and
        for a word that the encoder was not trained with, because its embedding would be
        meaningless.
        """
        unknown = sorted({word for query in queries for word in self.unknown(query)})
        if unknown:
            named = ", ".join(f'"{word}"' for word in unknown)
            which = "the demo encoder" if self.name == "demo" else f"the encoder {self.name}"
            raise InputError(
                f"not in the vocabulary of {which}: {named}; use the words in "
                f"{self.folder and self.folder.name}/{WORDS}"
            )
        if not all(query.strip() for query in queries):
            raise InputError("the text is empty: type one or more words")
        tokens, fits = self._tokens(queries)
        if not all(fits):
            long, context = queries[fits.index(False)], tokens.shape[1]
            raise InputError(
                f"the text {long[:40]!r}… is longer than the {context} tokens (about "
                f"{context * 3 // 4} words) that the encoder reads: shorten it"
            )
        features = self.model.encode_text(tokens.to(self.device))  # type: ignore[operator]
        unit: Tensor = nn.functional.normalize(features.float(), dim=-1)
        return unit

    def fits(self, text: str) -> bool:
        """Whether the encoder reads all of a text; it has a limited number of tokens."""
        _, (fits,) = self._tokens([text])
        return fits

    def _tokens(self, texts: list[str]) -> tuple[Tensor, list[bool]]:
        """Tokens (B, context length), and for each text whether they are all of it."""
        tokenize = self._tokenizer()
        tokens = tokenize(texts)
        context = tokens.shape[1]
        uncut = tokenize(texts, context_length=context + 1)[:, :context]
        return tokens, (tokens == uncut).all(1).tolist()

    def unknown(self, query: str) -> list[str]:
        """The words of a query that the encoder was not trained with."""
        if self.words is None:
            return []
        words = re.findall(r"[^\W\d_]+|\d", query.lower())  # as open_clip's tokenizer splits them
        return [word for word in dict.fromkeys(words) if word not in self.words]


def _fingerprint(model: nn.Module, steps: list[Step]) -> str:
    digest = hashlib.sha256(repr(steps).encode())
    for key, value in model.state_dict().items():
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _known_words(folder: Path) -> frozenset[str] | None:
    path = folder / WORDS
    return frozenset(read_text(path, MAX_TEXT, linked=True).split()) if path.exists() else None
