"""Encode texts and image files as queries, with the teacher of a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache, partial
from pathlib import Path

import numpy as np
import torch

from nerv_clip.progress import SILENT, Progress
from nerv_clip.runs.inputs import load_run_teacher
from nerv_clip.runs.run import Run
from nerv_clip.search.phrases import Phrases, form_of, load_phrases
from nerv_clip.search.query import parse_query, reading, text_vector
from nerv_clip.search.relevancy import EncodedQuery, Vectors, image_query
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
    def phrases(self) -> Phrases:
        """The teacher's unrelated texts and states."""
        return load_phrases(self.encoder)

    @cached_property
    def unrelated(self) -> Vectors:
        """Embeddings of the unrelated texts, (U, dim)."""
        return self._embed(self.phrases.unrelated)

    @cached_property
    def _vector(self) -> Callable[[str], Vectors]:
        """`text_vector` of a term, which the runs of a library ask for in turn."""
        return lru_cache(maxsize=1024)(partial(text_vector, self.encoder))

    def encode_text(self, query: str) -> EncodedQuery:
        """Encode a text; raises `InputError` as `parse_query` and `ClipEncoder.texts` do."""
        terms = parse_query(query, self.phrases.states)
        return EncodedQuery(
            label=query,
            reading=reading(terms),
            vectors=np.stack([self._vector(term.text) for term in terms]),
            weights=np.array([term.weight for term in terms], np.float32),
            negated=np.array([term.negated for term in terms]),
            unrelated=self.unrelated,
            forms=tuple(self._form(term.text) for term in terms),
        )

    def _form(self, text: str) -> Vectors | None:
        """Embeddings (U, dim) of the unrelated texts in the form of a text; see `form_of`.

        None where the text has no other form, or where the teacher cannot read all of them.
        """
        form = form_of(text, self.phrases.unrelated)
        return None if form is None else self._in_form(form)

    @cached_property
    def _in_form(self) -> Callable[[tuple[str, str]], Vectors | None]:
        def embed(form: tuple[str, str]) -> Vectors | None:
            texts = [unrelated.join(form) for unrelated in self.phrases.unrelated]
            return self._embed(texts) if all(map(self.encoder.fits, texts)) else None

        return lru_cache(maxsize=32)(embed)

    def _embed(self, texts: Sequence[str]) -> Vectors:
        vectors = []
        with self._progress.task("embedding unrelated texts", len(texts), "text") as task:
            for text in texts:
                vectors.append(text_vector(self.encoder, text))
                task.advance()
        return np.stack(vectors)

    def encode_image(self, path: Path) -> EncodedQuery:
        """Encode an image file; raises `InputError` where it cannot be read."""
        frames = torch.from_numpy(np.array(read_image(path))).permute(2, 0, 1)[None]
        return image_query(f"like {path.name}", self.encoder.images(frames)[0].cpu().numpy())
