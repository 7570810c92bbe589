"""What plays in the browser: the player, and the card that shows the frame under the pointer."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from PIL import Image
from run_view import View, layout, samples, true_stream
from streamlit import runtime
from theme import palette

HERE = Path(__file__).parent


def _component(name: str) -> Any:  # noqa: ANN401 - Streamlit's renderer
    def text(kind: str) -> str:
        return (HERE / f"{name}.{kind}").read_text()

    script = (HERE / "stream.js").read_text() + text("js")
    return st.components.v2.component(f"nerv_{name}", html=text("html"), css=text("css"), js=script)


_PLAYER, _PEEK = _component("player"), _component("hover_card")
MEASURES = {"psnr": "PSNR dB", "ms_ssim": "MS-SSIM", "clip_similarity": "CLIP"}


def player(
    view: View,
    path: Path,
    frame: int,
    jump: int,
    exact: tuple[int, NDArray[np.uint8] | None, NDArray[np.uint8]] | None = None,
) -> None:
    """Show the stream at ``path``; `resting` says in the page's next run where it was left.

    ``jump`` changes where the player has to go to ``frame``. ``exact`` is a frame index with its
    true picture, where the source is there, and its reconstruction, as the network draws it.
    """
    table = view.per_frame
    data: dict[str, Any] = {
        "url": _address(path, f"player {view.key}"),
        "layout": layout(view, path)._asdict(),
        "samples": samples(path),
        "frames": view.frames,
        "split": table["split"].tolist(),
        "seconds": view.seconds,
        "psnr": table["psnr"].tolist(),
        "measures": {
            label: [None if np.isnan(v) else float(v) for v in table[column]]
            for column, label in MEASURES.items()
            if column in table and table[column].notna().any()
        },
        "colours": {**palette().split, "held": palette().held},
        "frame": frame,
        "jump": f"{view.key} {jump}",
        "exact": None
        if exact is None
        else {"frame": exact[0], "true": _png(exact[1]), "drawn": _png(exact[2])},
    }
    _PLAYER(key=f"player {view.key}", data=data, default={"frame": frame}, on_frame_change=_heard)


def peek(view: View, true_only: bool = False) -> None:
    """Let every chart on the page whose points name a frame show it under the pointer."""
    path = true_stream(view)
    if path is not None:
        about = layout(view, path)
        data: dict[str, Any] = {"layout": about._asdict(), "samples": samples(path)}
        # another checkpoint's stream is right about the true frames only
        true_only = true_only or about.checkpoint != view.key
        data |= {"url": _address(path, f"peek {view.key}"), "true_only": true_only}
        _PEEK(key=f"peek {view.key}", data=data)


def resting(view: View, frame: int) -> int:
    """The frame index at which a run's player rests; ``frame`` where something else moved it."""
    told = st.session_state.pop("player moved", False)
    state = st.session_state.get(f"player {view.key}")
    return int(state["frame"]) if told and state and state.get("frame") is not None else frame


def _heard() -> None:
    st.session_state["player moved"] = True


def _address(path: Path, coordinates: str) -> str:
    """Where the browser gets a stream; empty outside a running app."""
    if not runtime.exists():
        return ""
    return runtime.get_instance().media_file_mgr.add(str(path), "video/mp4", coordinates)


def _png(pixels: NDArray[np.uint8] | None) -> str | None:
    if pixels is None:
        return None
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
