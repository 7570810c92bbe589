"""What a run is, in one look."""

from __future__ import annotations

import charts
import pandas as pd
import streamlit as st
from player import peek
from run_view import View, history, read_view, similarities, thumbnails, verification
from session import current, go_to
from theme import SPLIT_NAMES, SUCCESS, strip, tile

from nerv_clip import Run


def headline(view: View) -> None:
    """Name, video, and the figures that matter."""
    video, metrics = view.config["clip"], view.metrics
    st.title(view.run.path.name)
    flags = view.config["flags"]
    counts = {name: len(view.part(name)) for name in ("train", "val", "unused")}
    told = ", ".join(f"{count} {SPLIT_NAMES[part]}" for part, count in counts.items() if count)
    st.caption(
        f"{video['frames']} frames of {video['width']}×{video['height']} at {video['fps']:.3g} "
        f"frames/s · split `{flags['data_split']}`: {told} · preset `{flags['preset']}`, "
        f"{flags['epochs']} epochs, seed {view.config['seed']} · "
        + (f"teacher {view.config['teacher']['name']}" if view.config["teacher"] else "no teacher")
    )
    columns = st.container(key="pairs figures").columns(5)
    pairs = (
        ("PSNR", "psnr", "{:.2f} dB"),
        ("MS-SSIM", "ms_ssim", "{:.4f}"),
        ("CLIP similarity", "clip_similarity", "{:.4f}"),
    )
    for column, (label, field, form) in zip(columns, pairs, strict=False):
        seen, held = metrics["train"][field], metrics["val"][field]
        if seen is None:
            tile(column, label, "–", "no CLIP head" if "CLIP" in label else "not measured")
        elif held is None:
            tile(column, f"{label}, seen", form.format(seen), "none held out")
        else:
            tile(column, f"{label}, held out", form.format(held), f"{form.format(seen)} seen")
    blend = metrics["val"].get("blend_psnr")
    ahead = "" if blend is None else f"network {metrics['val']['psnr'] - blend:+.2f} dB"
    tile(
        columns[3],
        "Blend, held out",
        "–" if blend is None else f"{blend:.2f} dB",
        ahead or "none held out",
        "PSNR of the linear blend of the neighbouring train frames: what doing nothing clever "
        "reaches on the held-out frames, and how far the network is above or below it.",
    )
    size, rate = f"{metrics['bytes'] / 1e6:.2f} MB", f"{metrics['bpp']:.3f} bits a pixel"
    tile(columns[4], "Checkpoint", size, rate)


def over_time(view: View) -> None:
    """Frames over time, with the CLIP similarity under them."""
    if pictures := thumbnails(view):
        st.html(strip(pictures))
    split = view.per_frame["split"].tolist()
    if view.has_head:
        table = similarities(view)
        values, title, y = table["prediction"], "CLIP similarity, frame by frame", "cosine"
        lines = {"interpolated neighbours": table["interpolation"].to_numpy()}
    else:
        values, title, y = view.per_frame["psnr"], "PSNR, frame by frame", "dB"
        lines = {}
    now = current(view.frames)
    figure = charts.over_time(
        values.to_numpy(), split, title, y, current=now, lines=lines, height=320
    )
    event = charts.show(
        figure, f"overview {view.key}", view.per_frame, on_select="rerun", selection_mode="points"
    )
    points = event.selection.points
    if points and int(points[0]["x"]) != st.session_state.frame:
        go_to(int(points[0]["x"]))
        st.rerun()


def verdict(view: View) -> None:
    """What a verification said, if it was run on this checkpoint."""
    if not view.has_head:
        st.info("This run has no CLIP head: it plays its video, and knows nothing of it.")
        return
    found = verification(view)
    if found is None:
        st.info("Not verified yet: the **Verify** page says whether it learned its embeddings.")
        return
    said = found["verdict"]
    text = f"**{said['label'].capitalize()}.** {said['sentence']}"
    if said["label"] == SUCCESS:
        st.success(text, icon=":material/verified:")
    else:
        st.warning(text, icon=":material/info:")


def curves(view: View) -> None:
    """How training went."""
    table = history(view)
    if len(table) < 2:
        st.info("One evaluation or none was kept from the training: no curves to draw.")
        return
    columns = st.columns(2)
    for column, (field, title, y) in zip(columns, charts.TRAINING, strict=True):
        figure = charts.training(table, field, title, y)
        if figure is not None:
            with column:
                charts.show(figure, f"{field}_training {view.key}", table)


def network(view: View) -> None:
    """How it is built."""
    sizes, arch = view.config["parameters"], view.config["architecture"]
    facts = {
        "decoder": f"{sizes['decoder']:,} parameters",
        "CLIP head": f"{sizes['clip_head']:,} parameters" if sizes["clip_head"] else "none",
        "grid, strides": f"{arch['grid'][0]}×{arch['grid'][1]}, "
        f"{' '.join(map(str, [*arch['strides'], arch['head_stride']]))}",
        "widths": " ".join(map(str, arch["widths"])),
        "encoding": arch["embed"] or "none (latents)",
        "decoding": f"{view.metrics['decoded_fps']:.0f} frames/s where evaluated",
    }
    table = pd.DataFrame({"": facts.keys(), " ": facts.values()}).set_index("")
    st.table(table, hide_header=True, border="horizontal")
    if view.run.tensorboard.exists():
        st.caption("Its TensorBoard logs are here:")
        st.code(f"tensorboard --logdir {view.run.path}", language="bash", wrap_lines=True)


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    headline(view)
    over_time(view)
    left, right = st.columns([2, 1], gap="medium")
    with left:
        curves(view)
    with right:
        st.subheader("Did it learn?")
        verdict(view)
        st.subheader("Network")
        network(view)
    peek(view)


main(st.session_state.path)
