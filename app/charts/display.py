"""The layout of figures, and how pages show them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
from theme import palette

Table = pd.DataFrame | Callable[[], pd.DataFrame]
REMOVED_BUTTONS = ["lasso2d", "select2d", "autoScale2d"]


def set_layout(
    figure: go.Figure, title: str, x: str = "", y: str = "", height: int = 340
) -> go.Figure:
    """The layout of all figures; a title of 40 letters fits on a phone."""
    text, grid = {"color": palette().text}, palette().grid
    figure.update_layout(
        title={"text": title, "font": {"size": 15}},
        height=height,
        margin={"l": 8, "r": 8, "t": 48, "b": 72},
        legend={
            "orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0,
            "xanchor": "left", "itemsizing": "constant", "font": text, "traceorder": "normal",
        },
        hovermode="closest",
        showlegend=True,
        uirevision=title,  # keeps the zoom when the data change
    )  # fmt: skip
    axis = {"automargin": True, "tickfont": text, "gridcolor": grid}
    figure.update_xaxes(title={"text": x, "font": text}, **axis)
    figure.update_yaxes(title={"text": y, "font": text}, **axis)
    return figure


def colour_bar(title: str) -> dict[str, Any]:
    text = {"color": palette().text}
    return {"title": {"text": title, "font": text}, "tickfont": text, "thickness": 11}


def _toolbar(key: str, removed: Sequence[str]) -> dict[str, Any]:
    """Plotly's toolbar, with a button that saves the figure as PNG."""
    return {
        "displaylogo": False,
        "toImageButtonOptions": {"format": "png", "scale": 2, "filename": key.split(" ")[0]},
        "modeBarButtonsToRemove": list(removed),
    }


def _download(key: str, table: Table | None) -> None:
    if table is None:
        return
    name = key.split(" ")[0]

    def as_csv() -> str:
        return (table if isinstance(table, pd.DataFrame) else table()).to_csv(index=False)

    st.download_button(
        "Data as CSV",
        as_csv,  # called by a click
        f"{name}.csv",
        "text/csv",
        key=f"csv {key}",
        type="tertiary",
        icon=":material/download:",
        on_click="ignore",
    )


def show(figure: go.Figure, key: str, table: Table | None = None) -> None:
    """Show a figure and, below it, its data as a CSV download; ``key`` begins with a file name.

    ``table`` has the data, or returns them.
    """
    title, config = figure.layout.title.text, _toolbar(key, REMOVED_BUTTONS)
    st.plotly_chart(figure, key=key, width="stretch", config=config, alt=title)
    _download(key, table)


def show_selectable(
    figure: go.Figure, key: str, table: Table | None = None, *, lasso: bool = False
) -> list[int]:
    """As `show`; the page reruns when points are selected. Returns their frame indices.

    A point's frame index is its ``customdata``. With ``lasso``, several points can be selected.
    """
    modes: list[Literal["points", "lasso"]] = ["points", "lasso"] if lasso else ["points"]
    event = st.plotly_chart(
        figure,
        key=key,
        width="stretch",
        config=_toolbar(key, ["autoScale2d"] if lasso else REMOVED_BUTTONS),
        alt=figure.layout.title.text,
        on_select="rerun",
        selection_mode=modes,
    )
    _download(key, table)
    points: list[Any] = event["selection"]["points"]
    return sorted({int(np.ravel(p["customdata"])[0]) for p in points if "customdata" in p})
