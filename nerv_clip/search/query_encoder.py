"""Encode texts and image files as queries, with the teacher of a run."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.inputs import load_run_teacher
from nerv_clip.runs.run import Run
from nerv_clip.search.phrases import load_phrases
from nerv_clip.search.query import parse_query, text_vector
from nerv_clip.search.relevancy import EncodedQuery, ReferenceTexts, image_query
from nerv_clip.teacher.encoder import ClipEncoder
from nerv_clip.video.reader import read_image


class QueryEncoder:
    """Encodes queries with the teacher of a run, which is loaded with the first query.

    ``id`` identifies the teacher: runs with the same teacher can share a `QueryEncoder`. Raises
    `InputError` where the run has no teacher.
    """

    def __init__(self, run: Run, progress: Progress = SILENT) -> None:
        self.id = run.read_teacher().id
        self._run, self._progress = run, progress

    @cached_property
    def encoder(self) -> ClipEncoder:
        """The teacher; raises `InputError` where its weights are not those of the training."""
        return load_run_teacher(self._run)

    @cached_property
    def reference_texts(self) -> ReferenceTexts:
        """The embedded canonical and unrelated texts."""
        phrases = load_phrases(self.encoder)
        embedded = []
        total = len(phrases.canonical) + len(phrases.unrelated)
        with self._progress.task("embedding reference texts", total, "text") as task:
            for texts in phrases:
                vectors = []
                for text in texts:
                    vectors.append(text_vector(self.encoder, text))
                    task.advance()
                embedded.append(np.stack(vectors))
        return ReferenceTexts(*embedded)

    def encode_text(self, query: str) -> EncodedQuery:
        """Encode a text; raises `InputError` as `parse_query` and `ClipEncoder.texts` do."""
        terms = parse_query(query)
        return EncodedQuery(
            label=query,
            vectors=np.stack([text_vector(self.encoder, term.text) for term in terms]),
            weights=np.array([term.weight for term in terms], np.float32),
            negated=np.array([term.negated for term in terms]),
            reference_texts=self.reference_texts,
        )

    def encode_image(self, path: Path) -> EncodedQuery:
        """Encode an image file; raises `InputError` where it cannot be read."""
        frames = torch.from_numpy(np.array(read_image(path))).permute(2, 0, 1)[None]
        return image_query(f"like {path.name}", self.encoder.images(frames)[0].cpu().numpy())
