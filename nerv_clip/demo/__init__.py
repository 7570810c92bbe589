"""The rendered kitchen, its captions, and the small CLIP that is trained on them."""

from nerv_clip.demo.encoder import Lesson, teach
from nerv_clip.demo.kitchen import read_labels, write_kitchen
from nerv_clip.demo.pretraining import Plan
from nerv_clip.demo.scores import labelled_queries

__all__ = [
    "Lesson",
    "Plan",
    "labelled_queries",
    "read_labels",
    "teach",
    "write_kitchen",
]
