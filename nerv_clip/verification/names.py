"""Titles of measures and splits: the one table that all reports and the app use."""

from __future__ import annotations

MEASURES: dict[str, str] = {
    "cosine": "cosine",
    "centred": "centred",
    "skill": "skill",
    "r1": "R@1",
    "r5": "R@5",
    "near": "R@±2",
    "median_rank": "med. rank",
    "mrr": "MRR",
    "cka": "CKA",
    "rsa": "RSA",
}
"""Fields of `Measures`, in the order of a table's columns, with their titles."""

SPLIT_TITLES: dict[str, str] = {
    "all": "all frames",
    "train": "train frames",
    "val": "held-out frames",
}
"""The splits that are reported, in this order, with their titles."""
