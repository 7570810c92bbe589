"""The player: one stream, two pictures, no rerun a frame."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from look import SPLIT_COLOURS
from numpy.typing import NDArray
from PIL import Image
from reading import View, layout
from streamlit import runtime

HERE = Path(__file__).parent
_MOUNT = st.components.v2.component(
    "nerv_player",
    html=(HERE / "player.html").read_text(),
    css=(HERE / "player.css").read_text(),
    js=(HERE / "player.js").read_text(),
)
MEASURES = {"psnr": "PSNR dB", "ms_ssim": "MS-SSIM", "clip_similarity": "CLIP"}


def player(
    view: View,
    frame: int,
    jump: int,
    exact: tuple[int, NDArray[np.uint8] | None, NDArray[np.uint8]] | None = None,
) -> None:
    """Show a run's stream; `resting` says in the next run of the page where it was left.

    ``jump`` changes where the player has to go to ``frame``. ``exact`` is a frame index with its
    true picture, where the source is there, and its reconstruction, as the network draws it.
    """
    table = view.per_frame
    data: dict[str, Any] = {
        "url": _address(view),
        "layout": layout(view)._asdict(),
        "fps": layout(view).fps,
        "frames": view.frames,
        "split": table["split"].tolist(),
        "seconds": view.seconds,
        "psnr": table["psnr"].tolist(),
        "measures": {
            label: [None if np.isnan(v) else float(v) for v in table[column]]
            for column, label in MEASURES.items()
            if column in table and table[column].notna().any()
        },
        "colours": SPLIT_COLOURS,
        "frame": frame,
        "jump": f"{view.key} {jump}",
        "exact": None
        if exact is None
        else {"frame": exact[0], "true": _png(exact[1]), "drawn": _png(exact[2])},
    }
    _MOUNT(key=f"player {view.key}", data=data, default={"frame": frame}, on_frame_change=_heard)


def resting(view: View, frame: int) -> int:
    """The frame index at which a run's player rests; ``frame`` where something else moved it."""
    told = st.session_state.pop("player moved", False)
    state = st.session_state.get(f"player {view.key}")
    return int(state["frame"]) if told and state and state.get("frame") is not None else frame


def _heard() -> None:
    st.session_state["player moved"] = True


def _address(view: View) -> str:
    """Where the browser gets the stream; empty outside a running app."""
    if not runtime.exists():
        return ""
    files = runtime.get_instance().media_file_mgr
    return files.add(str(view.run.comparison), "video/mp4", f"player {view.key}")


def _png(pixels: NDArray[np.uint8] | None) -> str | None:
    if pixels is None:
        return None
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
