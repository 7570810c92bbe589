"""Plotly figures from plain data, with titles, axis titles and units; and how pages show them."""

from charts.curves import (
    TRAINING_CURVES,
    histogram,
    lines,
    mark_cuts,
    per_frame,
    relevancy,
    training_curve,
)
from charts.display import set_layout, show, show_selectable
from charts.embeddings import embedding_map, similarity_matrix
from charts.verification import intervals

__all__ = [
    "TRAINING_CURVES",
    "embedding_map",
    "histogram",
    "intervals",
    "lines",
    "mark_cuts",
    "per_frame",
    "relevancy",
    "set_layout",
    "show",
    "show_selectable",
    "similarity_matrix",
    "training_curve",
]
