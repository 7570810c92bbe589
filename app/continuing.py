"""Continue a finished or stopped training for some more minutes."""

from __future__ import annotations

from pathlib import Path

import streamlit as st
from session import persistent
from training_form import as_command
from training_processes import runs_to_continue, start_training
from widgets import input_errors

from nerv_clip import InputError, Run


def is_finished(run: Run) -> bool:
    """Whether the last epoch that was planned has been evaluated."""
    done, planned = _epochs(run)
    return done >= planned


def _epochs(run: Run) -> tuple[int, int]:
    """The epochs until the last evaluation, and those that are planned."""
    history = run.read_history()
    done = 0 if history.empty else int(history["epoch"].max())
    return done, run.read_config().planned_epochs


def continue_a_run() -> None:
    """Select a run, and train it for more minutes. Shown where there is such a run."""
    runs = {run.path.name: run for run in runs_to_continue()}
    if not runs:
        return
    st.subheader("Continue a training")
    box = persistent("continued run", None)
    if st.session_state[box] not in runs:
        st.session_state[box] = next(iter(runs))
    first, second, third = st.columns([2, 1, 2], vertical_alignment="bottom")
    run = runs[first.selectbox("Finished or stopped run", list(runs), key=box)]
    minutes = second.number_input(
        "More minutes", 0.1, 10_000.0, step=5.0, format="%g",
        key=persistent("more minutes", 10.0),
    )  # fmt: skip
    with input_errors():
        argv = continuing_flags(run, minutes)
        label = f"Continue for {minutes:g} more minutes"
        if third.button(label, icon=":material/more_time:"):
            start_training(argv, run.path.name)
            st.rerun()
        done, planned = _epochs(run)
        stopped = f"Stopped; {planned} epochs are planned, the last evaluation is of epoch {done}."
        st.caption(f"Finished after {done} epochs." if done >= planned else stopped)
        st.code(as_command(argv), language="bash", wrap_lines=True)


def continuing_flags(run: Run, minutes: float) -> list[str]:
    """The flags that train a run for more minutes; raises `InputError` without its video."""
    source = run.read_config().video.path
    if not Path(source).exists():
        raise InputError(
            f"{source}, the video of {run.path}, is not there: put it back to continue the training"
        )
    return ["--data_path", source, "--outf", str(run.path), "--more_minutes", f"{minutes:g}"]
