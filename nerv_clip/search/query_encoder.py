"""Texts and image files as questions in the embedding space of a run's teacher."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.inputs import load_run_teacher
from nerv_clip.runs.run import Run
from nerv_clip.search.phrases import phrases_of
from nerv_clip.search.query import parse_query, text_vector
from nerv_clip.search.question import Background, Question, ask_vector
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.video.reader import read_image


class QueryEncoder:
    """Embeds queries with the teacher of a run, which is loaded with the first query.

    ``id`` identifies the teacher: runs with the same one can share a `QueryEncoder`. Raises
    `InputError` where the run has no teacher.
    """

    def __init__(self, run: Run, progress: Progress = SILENT) -> None:
        self.id = run.read_teacher().id
        self._run, self._progress = run, progress

    @cached_property
    def encoder(self) -> ClipEncoder:
        """The teacher; raises `InputError` where another one has its name now."""
        return load_run_teacher(self._run)

    @cached_property
    def background(self) -> Background:
        """What it says to texts that describe nothing here."""
        phrases = phrases_of(self.encoder)
        found = []
        total = len(phrases.canonical) + len(phrases.unrelated)
        with self._progress.task("embedding reference texts", total, "text") as task:
            for texts in phrases:
                vectors = []
                for text in texts:
                    vectors.append(text_vector(self.encoder, text))
                    task.advance()
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
