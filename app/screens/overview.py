"""Overview: metrics, frames over time, training curves, verdict and network of a run."""

from __future__ import annotations

import charts
import pandas as pd
import streamlit as st
from literal import literal
from player import hover_card
from run_view import RunView, read_view, similarities, thumbnails
from session import current_frame, go_to_selected
from shown_frames import shown_frames
from stored_verification import stored_verification
from theme import SPLIT_NAMES
from verdict_view import beside_baselines, verdict_badge
from widgets import metric_tile, picture_strip

from nerv_clip import Run

METRICS = (
    ("PSNR", "psnr", "{:.2f} dB"),
    ("MS-SSIM", "ms_ssim", "{:.4f}"),
    ("CLIP similarity", "clip_similarity", "{:.4f}"),
)


def summary(view: RunView) -> None:
    """Name, video and training settings."""
    config = view.config
    st.title(literal(view.name))
    counts = {split: len(view.frames_of(split)) for split in SPLIT_NAMES}
    split = ", ".join(f"{n} {SPLIT_NAMES[name]}" for name, n in counts.items() if n)
    teacher = "no teacher" if config.teacher is None else f"teacher {literal(config.teacher.name)}"
    if config.teacher is not None and config.train.clip_every > 1:
        teacher += f", on one frame in {config.train.clip_every}"
    st.caption(
        f"{view.frames} frames of {config.video.width}×{config.video.height} at "
        f"{config.video.fps:.3g} frames/s · split {literal(config.split.rule)}: {split} · preset "
        f"{literal(config.preset)}, {config.train.epochs} epochs, seed {config.train.seed} · "
        f"{teacher}"
    )


def metrics(view: RunView) -> None:
    """The main metrics, those of held-out frames first, and the baseline for PSNR."""
    train, val = view.metrics.train, view.metrics.val
    columns = st.container(key="pairs metrics").columns(5)
    for column, (label, field, form) in zip(columns, METRICS, strict=False):
        on_train, on_val = getattr(train, field), getattr(val, field)
        if on_train is None:
            reason = "no CLIP head" if field == "clip_similarity" else "not measured"
            metric_tile(column, label, "–", reason)
        elif on_val is None:
            metric_tile(column, f"{label}, train", form.format(on_train), "no held-out frames")
        else:
            note = f"{form.format(on_train)} train"
            metric_tile(column, f"{label}, held out", form.format(on_val), note)
    baseline, note = "–", "no held-out frames"
    if val.blend_psnr is not None and val.psnr is not None:
        baseline = f"{val.blend_psnr:.2f} dB"
        note = f"network {val.psnr - val.blend_psnr:+.2f} dB".replace("-", "−")
    metric_tile(
        columns[3],
        "Baseline, held out",
        baseline,
        note,
        "PSNR of a linear blend of the two neighbouring train frames, on the held-out frames. "
        "The note is the difference between the network and this baseline.",
    )
    size, rate = f"{view.metrics.bytes / 1e6:.2f} MB", f"{view.metrics.bpp:.3f} bits per pixel"
    metric_tile(columns[4], "Checkpoint", size, rate)


def frames_over_time(view: RunView) -> None:
    """A strip of frames, and the CLIP similarity or the PSNR of each frame below it."""
    if pictures := thumbnails(view):
        st.html(picture_strip(pictures))
    if view.has_clip_head:
        table = similarities(view)
        values, title, y = table["prediction"], "CLIP similarity of each frame", "cosine similarity"
        baselines = {"spherical interpolation": table["interpolation"].to_numpy()}
    else:
        values, title, y = view.per_frame["psnr"], "PSNR of each frame", "PSNR (dB)"
        baselines = {}
    figure = charts.per_frame(
        values.to_numpy(),
        view.per_frame["split"].tolist(),
        title,
        y,
        shots=view.shots,
        current=current_frame(view.frames),
        baselines=baselines,
        shown=shown_frames(view.frames),
        height=320,
    )
    go_to_selected(charts.show_selectable(figure, f"overview {view.key}", view.per_frame))


def verdict(view: RunView) -> None:
    """The verdict of the stored verification, with the baselines beside its figures."""
    if not view.has_clip_head:
        st.info("This run has no CLIP head, so there are no embeddings to verify.")
        return
    found = stored_verification(view)
    if found is None:
        st.info("Not verified yet. Start a verification on the **Verify** page.")
        return
    verdict_badge(found)
    beside = beside_baselines(found)
    if beside is not None:
        st.table(beside, border="horizontal")


def training_curves(view: RunView) -> None:
    """Metrics at each evaluation during training."""
    history = view.run.read_history()
    if len(history) < 2 or "epoch" not in history:
        st.info("There are no training curves: they need at least two evaluations.")
        return
    columns = st.columns(2)
    for column, (name, title, y) in zip(columns, charts.TRAINING_CURVES, strict=True):
        figure = charts.training_curve(history, name, title, y)
        if figure is not None:
            with column:
                charts.show(figure, f"{name}_training {view.key}", history)


def network(view: RunView) -> None:
    """Size and structure of the network."""
    sizes, arch = view.config.parameters, view.config.architecture
    first = arch.first
    facts = {
        "shots, networks": f"{len(arch.shots)}, {len(arch.segments)}",
        "decoder": f"{sizes.decoder:,} parameters",
        "CLIP head": f"{sizes.clip_head:,} parameters" if sizes.clip_head else "none",
        "grid, strides": f"{first.grid[0]}×{first.grid[1]}, "
        f"{' '.join(map(str, [*first.strides, first.head_stride]))}",
        "widths": arch.widths,
        "encoding": literal(first.embed) if first.embed else "none (latents)",
        "decoding speed": f"{view.metrics.decoded_fps:.0f} frames/s (measured in evaluation)",
    }
    table = pd.DataFrame({"": facts.keys(), " ": facts.values()}).set_index("")
    st.table(table, hide_header=True, border="horizontal")
    if view.run.tensorboard.exists():
        st.caption("TensorBoard logs:")
        st.code(f"tensorboard --logdir {view.run.path}", language="bash", wrap_lines=True)


def main(run: Run) -> None:
    """The page."""
    view = read_view(run)
    summary(view)
    metrics(view)
    frames_over_time(view)
    left, right = st.columns([3, 2], gap="medium")
    with left:
        training_curves(view)
    with right:
        st.subheader("Did it learn?")
        verdict(view)
        st.subheader("Network")
        network(view)
    hover_card(view)


main(st.session_state.selected_run)
