"""Train: select a video and a time, start a training, watch it, and continue it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import charts
import streamlit as st
from continuing import continue_a_run, is_finished
from inference import draw_frame
from literal import literal
from run_view import read_view, stamp, stored_true_frame
from session import open_page, run_paths
from training_estimate import duration, measured_cost, previewed_plan, show_cost, show_plan
from training_form import Form, as_command, training_form
from training_processes import (
    Running,
    dismiss,
    ended_trainings,
    is_running,
    last_line,
    plan_of,
    remaining,
    running_trainings,
    start_training,
    stop_training,
)
from video_picker import video_picker
from widgets import input_errors, picture_url

from nerv_clip import InputError, Run, frame_time

ENDINGS = {
    "finished": (":green[:material/check_circle:]", "finished"),
    "stopped": (":orange[:material/stop_circle:]", "was stopped"),
    "failed": (":orange[:material/cancel:]", "did not finish"),
}


def new_training(video: Path | None) -> Callable[[], None]:
    """The form, the command, and the button that starts it; returns what shows the estimate.

    The estimate has its place above the command. It takes some seconds to measure.
    """
    if video is None:
        st.info("Upload a video, or put one into `data/`.")
        return lambda: None
    st.caption(f"Video: {literal(video)}")
    form = training_form(video)
    estimate = st.container()
    st.code(as_command(form.argv), language="bash", wrap_lines=True)
    place = st.empty()
    can_start = False
    with estimate, input_errors(as_flags=True):
        run = checked_run(form)
        with place.container(horizontal=True, vertical_alignment="center"):
            can_start = start_button(form, run)

    def show() -> None:
        with estimate, input_errors(as_flags=True):
            try:
                show_estimate(form, video)
            except InputError:
                place.empty()
                raise

    return show if can_start else lambda: None


def checked_run(form: Form) -> Run:
    """The run directory of a form; raises `InputError` where its training would be refused."""
    from nerv_clip.cli import parse

    if form.problem:
        raise InputError(form.problem)
    run = Run(parse(form.argv).run)
    if form.minutes is not None and run.is_run and run.read_config().budget is None:
        raise InputError(
            f"{run.path} exists and was trained without a time: choose another name, or continue "
            "it below"
        )
    return run


def start_button(form: Form, run: Run) -> bool:
    """The button that starts a training; returns whether there is one to be estimated."""
    exists, planned = run.is_run, form.minutes is not None
    running = is_running(run)
    done = exists and planned and is_finished(run)
    label = "Resume training" if exists else "Start training"
    clicked = st.button(
        label, type="primary", icon=":material/play_arrow:", disabled=running or done
    )
    if clicked:
        start_training(form.argv, run.path.name)
        st.toast(literal(f"Training started: {run.path}"))
    path = literal(run.path)
    if running or clicked:
        st.caption(f"{path} is in training: see below.")
    elif done:
        st.caption(f"{path} is finished. Choose another name, or continue it below.")
    elif exists and planned:
        st.caption(f"{path} exists. Its training is resumed with the plan that it began with.")
    elif exists:
        st.caption(
            f"{path} exists. With unchanged settings, its training is resumed. For other settings, "
            "choose another name."
        )
    return not (running or clicked or (exists and planned))


def show_estimate(form: Form, video: Path) -> None:
    """What the training will cost."""
    place = form.argv.index("--outf")
    flags = (*form.argv[:place], *form.argv[place + 2 :])
    outf = form.argv[place + 1]
    if form.minutes is None:
        show_cost(measured_cost(flags, stamp(video), outf))
    else:
        show_plan(previewed_plan(flags, stamp(video), outf), form.minutes)


@st.fragment(run_every=2.0)
def trainings() -> None:
    """Trainings that run now, those of this app that ended, and runs that can be continued."""
    st.subheader("Running")
    found = running_trainings()
    for training in found:
        with st.container(border=True):
            progress(training)
            live_results(training.run)
    if not found:
        st.caption("No training is running.")
    ended()
    continue_a_run()
    # last: a click on a button above would be lost
    rerun_after_a_change({str(training.run.path) for training in found})


def rerun_after_a_change(running: set[str]) -> None:
    """Draw the whole page again when a training began or ended: the form says so, too."""
    before = st.session_state.get("running trainings", running)
    st.session_state["running trainings"] = running
    if before != running:
        st.rerun()


def ended() -> None:
    """How the trainings that this app started ended."""
    outcomes = ended_trainings()
    if outcomes:
        st.subheader("Ended")
    names = {path: name for name, path in run_paths().items()}
    for name, outcome in outcomes.items():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            icon, how = ENDINGS[outcome]
            line = last_line(name).removeprefix("train_nerv_clip.py: ").removeprefix("stopped ")
            st.markdown(f"{icon} **{literal(name)}** {how}: {literal(line)}")
            listed, icon = names.get(f"output/{name}"), ":material/dashboard:"
            if listed and st.button(f"Open {literal(name)}", key=f"open {name}", icon=icon):
                st.session_state.run = listed
                open_page("screens/overview.py")
                st.rerun()
            if st.button("Dismiss", key=f"dismiss {name}", type="tertiary"):
                dismiss(name)
                st.rerun()


def progress(training: Running) -> None:
    """The progress of a training, with a button that stops it."""
    left, right = st.columns([5, 1], vertical_alignment="center")
    run, status, pid = training
    done, name = 0.0, run.path.name
    text = last_line(name) or "starting…"
    if status is not None:
        done = min(status.step / max(status.steps, 1), 1.0)
        text = f"epoch {status.epoch} of {status.epochs} · {status.psnr:.2f} dB on train frames"
        seconds = remaining(status)
        if seconds is not None:
            text += f" · about {duration(seconds)} left"
    left.progress(done, text=f"**{literal(name)}** · {literal(text)}")
    if pid is not None and right.button(
        "Stop", key=f"stop {run.path}", icon=":material/stop_circle:"
    ):
        stop_training(pid)
    if status is not None and (plan := plan_of(name)):
        st.caption(literal(plan[:1].upper() + plan[1:]))


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
    st.title("Train")
    video = video_picker()
    with st.container():  # so that the trainings below keep their places
        estimate = new_training(video)
    trainings()
    estimate()  # last: all else is on the page while it is measured


main()
