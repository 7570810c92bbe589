"""Plotly figures from plain data, with titles, axis titles and units; and how pages show them."""

from charts.bins import MOST_POINTS, width_for
from charts.curves import (
    TRAINING_CURVES,
    compared,
    histogram,
    lines,
    per_frame,
    relevancy,
    training_curve,
)
from charts.display import show, show_selectable
from charts.embeddings import embedding_map, similarity_matrix
from charts.verification import intervals

__all__ = [
    "MOST_POINTS",
    "TRAINING_CURVES",
    "compared",
    "embedding_map",
    "histogram",
    "intervals",
    "lines",
    "per_frame",
    "relevancy",
    "show",
    "show_selectable",
    "similarity_matrix",
    "training_curve",
    "width_for",
]
