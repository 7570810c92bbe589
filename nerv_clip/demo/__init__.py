"""The rendered kitchen, its captions, and the small CLIP that is trained on them."""

from nerv_clip.demo.clip import read_labels, write_clip
from nerv_clip.demo.pretraining import Plan
from nerv_clip.demo.scores import labelled_queries
from nerv_clip.demo.teach import Lesson, teach

__all__ = [
    "Lesson",
    "Plan",
    "labelled_queries",
    "read_labels",
    "teach",
    "write_clip",
]
