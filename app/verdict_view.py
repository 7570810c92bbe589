"""The verdict of a verification, and the prediction beside its main baselines."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from literal import literal
from stored_verification import StoredInterval, StoredVerification

from nerv_clip.verification.baselines import NEAREST, PREDICTION, SPHERICAL
from nerv_clip.verification.names import MEASURES
from nerv_clip.verification.tables import PROCESS
from nerv_clip.verification.verdict import BEYOND, EQUIVALENT, REPRODUCES

SHOWN = {  # rows of the table, with short names: it stands in a narrow column
    PREDICTION: "CLIP head",
    NEAREST: "nearest train frame",
    SPHERICAL: "interpolation",
    PROCESS: "table in 8 bits",
}
BESIDE = ("centred", "r1", "near")  # measures that never stand without their baselines


def verdict_badge(found: StoredVerification) -> None:
    """The label and its reason: green only for what interpolation cannot do."""
    label, sentence = literal(found.verdict.label.capitalize()), literal(found.verdict.sentence)
    text = f"**{label}.** {sentence}"
    if found.verdict.label == BEYOND:
        st.success(text, icon=":material/verified:")
    elif found.verdict.label in (EQUIVALENT, REPRODUCES):
        st.info(text, icon=":material/equal:")
    else:
        st.warning(text, icon=":material/info:")


def beside_baselines(found: StoredVerification) -> pd.DataFrame | None:
    """Measures on held-out frames of the prediction and of its main baselines, with their sizes.

    None where no frame was held out.
    """
    rows = []
    for row in found.rows:
        values = row.figures.get("val") or {}
        if row.name not in SHOWN or not values:
            continue
        cells = {"held out": SHOWN[row.name]}
        for name in BESIDE:
            value = values.get(name)
            mean = value.mean if isinstance(value, StoredInterval) else None
            cells[MEASURES[name]] = "–" if mean is None else f"{mean:.3f}"
        cells["size"] = "–" if row.bytes is None else f"{row.bytes / 1000:.0f} kB"
        rows.append(cells)
    return pd.DataFrame(rows).set_index("held out") if rows else None
