"""Moments of a trained run by text, image or likeness, without its video.

`load_run` one run, or a `Library` of many; `fidelity` says what the predicted index is worth.
"""

from nerv_clip.search.fidelity import LabelledQuery, fidelity, summary
from nerv_clip.search.formats import as_csv, as_edl, as_json, as_text
from nerv_clip.search.library import Hit, Library
from nerv_clip.search.moments import Span, spans
from nerv_clip.search.trained_run import Answer, Moment, TrainedRun, load_run

__all__ = [
    "Answer",
    "Hit",
    "LabelledQuery",
    "Library",
    "Moment",
    "Span",
    "TrainedRun",
    "as_csv",
    "as_edl",
    "as_json",
    "as_text",
    "fidelity",
    "load_run",
    "spans",
    "summary",
]
