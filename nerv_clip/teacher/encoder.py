"""The teacher: a frozen CLIP model with its own preprocessing and tokenizer."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from nerv_clip.errors import InputError
from nerv_clip.reading import read_text
from nerv_clip.teacher.names import MAX_TEXT, WORDS
from nerv_clip.teacher.preprocessing import Step, preprocess

# words that name nothing
FUNCTION_WORDS = frozenset(
    ("2", "a", "an", "and", "are", "at", "beside", "by", "during", "for", "from", "in", "into",
     "is", "it", "its", "no", "of", "off", "on", "or", "out", "over", "s", "that", "the", "there",
     "these", "this", "those", "to", "two", "up", "while", "with", "without")
)  # fmt: skip
BLANK = "\u115f\u1160\u2800\u3164\uffa0"  # letters and symbols that are drawn as blanks


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

        Raises `InputError` for a text without a visible character, and for one that is longer than
        the encoder reads; where ``words`` is known, also for other words and symbols, and for a
        text of function words only, because their embeddings would be meaningless.
        """
        for query in queries:
            self._refuse(query)
        tokens, fits = self._tokens(queries)
        if not all(fits):
            beyond = self._beyond(queries[fits.index(False)])
            raise InputError(
                f"the encoder reads at most {tokens.shape[1]} tokens; beyond them lies "
                f"{beyond[:60]!r}{'…' if len(beyond) > 60 else ''}: shorten the text"
            )
        features = self.model.encode_text(tokens.to(self.device))  # type: ignore[operator]
        unit: Tensor = nn.functional.normalize(features.float(), dim=-1)
        return unit

    def fits(self, text: str) -> bool:
        """Whether the encoder reads all of a text; it has a limited number of tokens."""
        _, (fits,) = self._tokens([text])
        return fits

    def _refuse(self, text: str) -> None:
        """Raise `InputError` for a text that has no meaning to the encoder."""
        if not any(_visible(character) for character in text):
            raise InputError("the text is empty: type one or more words")
        if self.words is None:
            return
        which = "the demo encoder" if self.name == "demo" else f"the encoder {self.name}"
        listed = f"{self.folder and self.folder.name}/{WORDS}"
        if unknown := self.unknown(text):
            named = ", ".join(f'"{word}"' for word in sorted(unknown))
            raise InputError(
                f"not in the vocabulary of {which}: {named}; use the words in {listed}"
            )
        if not set(_words(text)) - FUNCTION_WORDS:
            raise InputError(
                f"the text {text.strip()!r} names nothing: use words in {listed} such as nouns"
            )

    def _beyond(self, text: str) -> str:
        """The words of a text from the first that the encoder does not read."""
        words = text.split()
        read = bisect_left(
            range(1, len(words) + 1), True, key=lambda n: not self.fits(" ".join(words[:n]))
        )
        return " ".join(words[read:])

    def _tokens(self, texts: list[str]) -> tuple[Tensor, list[bool]]:
        """Tokens (B, context length), and for each text whether they are all of it."""
        tokenize = self._tokenizer()
        tokens = tokenize(texts)
        context = tokens.shape[1]
        uncut = tokenize(texts, context_length=context + 1)[:, :context]
        return tokens, (tokens == uncut).all(1).tolist()

    def unknown(self, query: str) -> list[str]:
        """The words and pictorial symbols of a query that the encoder was not trained with."""
        if self.words is None:
            return []
        return [word for word in dict.fromkeys(_words(query)) if word not in self.words]


def _words(text: str) -> list[str]:
    """Words, digits and pictorial symbols; words as open_clip's tokenizer splits them."""
    parts = re.findall(r"[^\W\d_]+|\d|[^\w\s]", text.lower())
    return [part for part in parts if part.isalnum() or unicodedata.category(part) == "So"]


def _visible(character: str) -> bool:
    """Whether a character is a letter, digit, sign or symbol that shows."""
    return unicodedata.category(character)[0] not in "CMZ" and character not in BLANK


def _fingerprint(model: nn.Module, steps: list[Step]) -> str:
    digest = hashlib.sha256(repr(steps).encode())
    for key, value in model.state_dict().items():
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def _known_words(folder: Path) -> frozenset[str] | None:
    path = folder / WORDS
    return frozenset(read_text(path, MAX_TEXT, linked=True).split()) if path.exists() else None
