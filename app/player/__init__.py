"""Components that run in the browser: the player, and the card with the frame under the pointer."""

from __future__ import annotations

import base64
import io
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from heat import Heat, Spot
from PIL import Image
from run_view import Pixels, RunView, any_stream, stream_layout, stream_samples
from streamlit import runtime
from theme import palette

from nerv_clip.video.comparison import read_stream

HERE = Path(__file__).parent
SPLITS = ("train", "val", "unused")  # as numbers in player.js
METRICS = {"psnr": "PSNR (dB)", "ms_ssim": "MS-SSIM", "clip_similarity": "CLIP"}


def _component(name: str, *scripts: str) -> Any:  # noqa: ANN401 - Streamlit's renderer
    def text(kind: str) -> str:
        return (HERE / f"{name}.{kind}").read_text(encoding="utf-8")

    files = ("stream.js", *scripts)
    script = "".join((HERE / file).read_text(encoding="utf-8") for file in files) + text("js")
    return st.components.v2.component(f"nerv_{name}", html=text("html"), css=text("css"), js=script)


_PLAYER, _HOVER_CARD = _component("player", "heat.js"), _component("hover_card")


def player(
    view: RunView,
    stream: Path,
    frame: int,
    jump: int,
    true: Pixels | None,
    drawn: Pixels,
    heat: Heat | None = None,
) -> None:
    """Show a stream; after the player rests, its frame is the current frame of the session.

    The player goes to ``frame`` when ``jump`` changes. ``true`` (None without the source video)
    and ``drawn`` are the exact pictures of ``frame``, shown while the player is paused. ``heat``
    lies over both pictures. With a dense head, a click on a picture is a spot, see
    `heat.picked_spot`.
    """
    measured = {
        name: label for name, label in METRICS.items() if view.per_frame[name].notna().any()
    }
    data: dict[str, Any] = {
        **_stream(view, stream, "player"),
        "table": _served(_table(view, tuple(measured)), f"player table {view.key}"),
        "metrics": list(measured.values()),
        "frames": view.frames,
        "shots": list(view.shots.firsts),  # the first frame of each
        "colours": {**palette().split, "held_out_text": palette().held_out_text},
        "frame": frame,
        "jump": jump,
        "exact": {"frame": frame, "true": _png(true), "drawn": _png(drawn)},
        "spots": view.has_dense_head,
        "heat": None if heat is None else _heat(view, heat),
    }
    key = f"player {view.key}"
    _PLAYER(
        key=key,
        data=data,
        on_frame_change=partial(_player_moved, key),
        on_spot_change=partial(_spot_picked, key),
    )


def hover_card(view: RunView, true_only: bool = False) -> None:
    """Show the frame of a chart's point under the pointer, in all charts of the page.

    The reconstruction is left out with ``true_only``.
    """
    stream = any_stream(view)
    if stream is not None:
        layout = stream_layout(view, stream)
        data: dict[str, Any] = {
            **_stream(view, stream, "hover_card"),
            # in another checkpoint's stream, only the true frames are right
            "true_only": true_only or layout.checkpoint != view.key,
        }
        _HOVER_CARD(key=f"hover_card {view.key}", data=data)


def _player_moved(key: str) -> None:
    """Take over the player's frame, unless the app has gone to another frame since."""
    found = (st.session_state.get(key) or {}).get("frame")
    if found and found["jump"] == st.session_state.jump:
        st.session_state.frame = int(found["index"])


def _spot_picked(key: str) -> None:
    found = (st.session_state.get(key) or {}).get("spot")
    if found:
        st.session_state["picked spot"] = Spot(found["x"], found["y"], int(found["frame"]))


def _heat(view: RunView, heat: Heat) -> dict[str, Any]:
    """A heat map for heat.js; its maps are in a file, which is fetched once a query."""
    content = heat.map_of.astype("<u4").tobytes() + heat.maps.tobytes()
    url = _served(content, f"heat {view.key}")
    truth = None
    if heat.truth is not None:
        values = base64.b64encode(heat.truth.tobytes()).decode()
        truth = {"frame": heat.truth_frame, "values": values}
    spot = None if heat.spot is None else heat.spot._asdict()
    return {**heat.grid, "name": heat.name, "url": url, "spot": spot, "truth": truth}


def _stream(view: RunView, stream: Path, component: str) -> dict[str, Any]:
    """A stream for stream.js. What grows with its frames is in files, which are fetched once."""
    samples = stream_samples(stream)
    places = np.array(samples["offsets"], "<f8").tobytes()
    places += np.array(samples["sizes"], "<u4").tobytes()
    return {
        "url": _served(read_stream(stream), f"{component} {view.key}", "video/mp4"),
        "places": _served(places, f"{component} places {view.key}"),
        "layout": stream_layout(view, stream)._asdict(),
        "samples": {name: samples[name] for name in ("codec", "description", "keys")},
    }


def _table(view: RunView, metrics: tuple[str, ...]) -> bytes:
    """The time in seconds and ``metrics`` of each frame as float32, then its split as uint8."""
    columns = [np.array(view.timestamps), *(view.per_frame[name] for name in metrics)]
    split = view.per_frame["split"].map(SPLITS.index)
    return np.array(columns, "<f4").tobytes() + split.to_numpy("u1").tobytes()


def _served(content: bytes, coordinates: str, kind: str = "application/octet-stream") -> str:
    """The URL of a file for the browser; empty outside a running app."""
    if not runtime.exists():
        return ""
    return runtime.get_instance().media_file_mgr.add(content, kind, coordinates)


def _png(pixels: Pixels | None) -> str | None:
    if pixels is None:
        return None
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()
