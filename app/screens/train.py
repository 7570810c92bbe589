"""Train: select a video, see the estimated cost, start a training and watch it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import charts
import streamlit as st
from inference import draw_frame
from literal import literal
from run_view import Stamp, read_view, stamp, stored_true_frame
from session import run_paths
from training_form import as_command, training_flags, video_picker
from training_processes import (
    dismiss,
    ended_trainings,
    last_line,
    running_trainings,
    start_training,
    stop_training,
)
from widgets import input_errors, metric_tile, picture_url

from nerv_clip import InputError, Run, frame_time
from nerv_clip.runs.run import TrainingStatus

if TYPE_CHECKING:
    from nerv_clip.cli import Estimate


@st.cache_data(max_entries=64, show_spinner="Measuring one training step…")
def measured_cost(argv: tuple[str, ...], at: Stamp) -> Estimate:
    """Size, memory and time of a training, from one step of it."""
    from nerv_clip.cli import estimate, parse

    return estimate(parse(list(argv)))


def show_estimate(cost: Estimate) -> None:
    """Frames, parameters, memory and time of a training."""
    columns = st.container(key="pairs estimate").columns(5)
    metric_tile(columns[0], "Frames", f"{cost.frames:,}", f"{cost.width}×{cost.height}")
    metric_tile(columns[1], "Train frames", f"{cost.train_frames:,}", f"{cost.held_out:,} held out")
    parameters = cost.decoder_parameters + cost.head_parameters
    size = f"{cost.checkpoint_bytes / 1e6:.1f} MB"
    metric_tile(columns[2], "Parameters", f"{parameters / 1e6:.3f} M", size)
    metric_tile(
        columns[3],
        "Memory",
        f"{cost.memory_bytes / 1e6:,.0f} MB",
        "+ 1–2 GB PyTorch",
        "The frames, the weights with gradients and optimiser state, and the activations saved for "
        "the backward pass. PyTorch and, while true embeddings are computed, the teacher need "
        "memory in addition.",
    )
    metric_tile(
        columns[4],
        "Estimated time",
        duration(cost.seconds),
        f"{cost.steps:,} steps",
        "From one training step, measured on this machine.",
    )


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def start_button(video: Path, argv: list[str], run: Run) -> None:
    """The button that starts a training, and its estimated cost."""
    in_training, exists = run.in_training, run.is_run
    top, cost = st.container(), measured_cost(tuple(argv), stamp(video))
    label = "Resume training" if exists else "Start training"
    icon = ":material/play_arrow:"
    if top.button(label, type="primary", icon=icon, disabled=in_training):
        start_training(argv, run.path.name)
        st.toast(literal(f"Training started: {run.path}"))
    if in_training:
        top.caption(f"{literal(run.path)} is in training: see below.")
    elif exists:
        top.caption(
            f"{literal(run.path)} exists. With unchanged settings, its training is resumed. "
            "For other settings, choose another name."
        )
    show_estimate(cost)
    if not cost.held_out:
        st.caption("No frames are held out, so generalisation cannot be tested.")


@st.fragment(run_every=2.0)
def trainings() -> None:
    """Trainings that run now, from this app or a terminal, and those of this app that ended."""
    st.subheader("Running")
    found = running_trainings()
    for run, status in found:
        with st.container(border=True):
            progress(run, status)
            live_results(run)
    if not found:
        st.caption("No training is running.")
    if ended_trainings():
        st.subheader("Ended")
    names = {path: name for name, path in run_paths().items()}
    for name, succeeded in ended_trainings().items():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            icon = ":orange[:material/cancel:]"
            if succeeded:
                icon = ":green[:material/check_circle:]"
            line = last_line(name).removeprefix("train_nerv_clip.py: ")
            st.markdown(
                f"{icon} **{literal(name)}** {'finished' if succeeded else 'did not finish'}: "
                f"{literal(line)}"
            )
            listed, icon = names.get(f"output/{name}"), ":material/dashboard:"
            if listed and st.button(f"Open {literal(name)}", key=f"open {name}", icon=icon):
                st.session_state.run_to_open = listed  # a fragment cannot switch the page
                st.rerun()
            if st.button("Dismiss", key=f"dismiss {name}", type="tertiary"):
                dismiss(name)
                st.rerun()


def progress(run: Run, status: TrainingStatus | None) -> None:
    """The progress of a training, with a button that stops it."""
    left, right = st.columns([5, 1], vertical_alignment="center")
    done, name = 0.0, run.path.name
    text = last_line(name) or "starting…"
    if status is not None:
        done = min(status.step / max(status.steps, 1), 1.0)
        remaining = status.seconds / max(done, 1e-6) * (1 - done)
        text = (
            f"epoch {status.epoch} of {status.epochs} · {status.psnr:.2f} dB on train frames · "
            f"about {duration(remaining)} left"
        )
    left.progress(done, text=f"**{literal(name)}** · {literal(text)}")
    if status is not None and right.button(
        "Stop", key=f"stop {run.path}", icon=":material/stop_circle:"
    ):
        stop_training(status.pid)


def live_results(run: Run) -> None:
    """The curves so far, and a frame as the best checkpoint draws it."""
    with input_errors():
        learning_curves(run)
    try:
        view = read_view(run)
        frame = view.frames // 2
        columns = st.container(key=f"pairs live {view.name}").columns(4)
        true = stored_true_frame(view, frame)
        if true is not None:
            columns[1].image(picture_url(true), caption=f"frame {frame}, true", width="stretch")
        drawn = picture_url(draw_frame(view, frame_time(frame, view.frames)))
        columns[0].image(drawn, caption=f"frame {frame}, reconstruction", width="stretch")
    except (InputError, OSError):
        st.caption("The first picture appears after the first evaluation.")


def learning_curves(run: Run) -> None:
    """Loss, PSNR and CLIP similarity at each evaluation so far."""
    history = run.read_history()
    if history.empty:
        return
    columns = st.columns(3)
    losses = {"pixel loss": history["pixel_loss"], "1 − cosine": history["clip_loss"]}
    measured = {name: loss.to_numpy() for name, loss in losses.items() if loss.notna().any()}
    with columns[0]:
        figure = charts.lines(history["epoch"].to_numpy(), measured, "Loss", "epoch", "loss")
        charts.show(figure.update_layout(height=300), f"loss {run.path}", history)
    for column, (name, title, y) in zip(columns[1:], charts.TRAINING_CURVES, strict=True):
        with column:
            figure = charts.training_curve(history, name, title, y)
            if figure is not None:
                charts.show(figure, f"{name} {run.path}", history)


def main() -> None:
    """The page."""
    if "run_to_open" in st.session_state:
        st.session_state.run = st.session_state.pop("run_to_open")
        st.switch_page("screens/overview.py")
    st.title("Train")
    video = video_picker()
    if video is None:
        st.info("Upload a video, or put one into `data/`.")
    else:
        st.caption(f"Video: {literal(video)}")
        with input_errors(as_flags=True):
            from nerv_clip.cli import parse

            argv = training_flags(video)
            st.code(as_command(argv), language="bash", wrap_lines=True)
            start_button(video, argv, Run(parse(argv).run))
    trainings()


main()
