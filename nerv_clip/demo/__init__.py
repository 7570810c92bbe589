"""Rendered videos of a kitchen with labels, and the small CLIP that is trained on such pictures.

Modules are imported when a name is first used: the processes that render do not import torch.
"""

from typing import TYPE_CHECKING

from nerv_clip.lazy_names import lazy_names

if TYPE_CHECKING:
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

__getattr__ = lazy_names(
    __name__,
    {
        "encoder": ["EncoderRecipe", "train_encoder"],
        "kitchen": ["read_labels", "write_kitchen"],
        "pretraining": ["TrainingPlan"],
        "scores": ["labelled_queries"],
    },
)
