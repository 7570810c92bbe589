"""Rendered videos of a kitchen with labels, and the small CLIP that is trained on such pictures."""

from nerv_clip.demo.encoder import EncoderRecipe, train_encoder
from nerv_clip.demo.kitchen import read_labels, write_kitchen
from nerv_clip.demo.pretraining import TrainingPlan
from nerv_clip.demo.scores import labelled_queries

__all__ = [
    "EncoderRecipe",
    "TrainingPlan",
    "labelled_queries",
    "read_labels",
    "train_encoder",
    "write_kitchen",
]
