"""A run's teacher, loaded when the first text or image is asked for, shared by its runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nerv_clip.cli.options import teacher_named
from nerv_clip.errors import InputError
from nerv_clip.search.phrases import phrases_of
from nerv_clip.search.query import parse_query, text_vector
from nerv_clip.search.question import Background, Question, ask_vector
from nerv_clip.teacher.encoder import ClipEncoder, load_clip_encoder
from nerv_clip.video.reader import read_image

Start = Callable[[int, str], Callable[[int], object]]


def silent(total: int, label: str) -> Callable[[int], object]:
    """No progress shown: called before ``total`` steps, returns what is told of each."""
    return lambda done: None


class Teacher:
    """Turns texts and image files into questions in the space of one teacher.

    ``config`` is the ``config.json`` of a run that learned from it. ``start`` shows progress: it
    is called with the steps of what takes long and its name, and returns what is told of each.
    """

    def __init__(self, config: dict[str, Any], start: Start = silent) -> None:
        self.id = str(config["teacher"]["id"])
        flags = config["flags"]
        self._named = teacher_named(flags["clip_model"], flags["clip_pretrained"])
        self._start = start

    @cached_property
    def encoder(self) -> ClipEncoder:
        """The model; raises `InputError` where another one goes by its name now."""
        encoder = load_clip_encoder(*self._named)
        if encoder.id != self.id:
            raise InputError(
                f"the run learned from the teacher {self.id}, but its name now gives {encoder.id}: "
                "their spaces cannot be compared; bring the weights that it was trained with"
            )
        return encoder

    @cached_property
    def background(self) -> Background:
        """What it says to texts that describe nothing here."""
        phrases = phrases_of(self.encoder)
        notice = self._start(len(phrases.canonical) + len(phrases.unrelated), "reading phrases")
        found = []
        for texts in phrases:
            vectors = []
            for text in texts:
                vectors.append(text_vector(self.encoder, text))
                notice(1)
            found.append(np.stack(vectors))
        return Background(*found)

    def ask_text(self, query: str) -> Question:
        """The question of a text; raises `InputError` as `parse_query` and the encoder do."""
        terms = parse_query(query)
        return Question(
            label=query,
            vectors=np.stack([text_vector(self.encoder, term.text) for term in terms]),
            weights=np.array([term.weight for term in terms], np.float32),
            negated=np.array([term.negated for term in terms]),
            background=self.background,
        )

    def ask_image(self, path: Path) -> Question:
        """What is like an image file; raises `InputError` where it cannot be read."""
        frames = torch.from_numpy(np.array(read_image(path))).permute(2, 0, 1)[None]
        return ask_vector(f"like {path.name}", self.encoder.images(frames)[0].cpu().numpy())
