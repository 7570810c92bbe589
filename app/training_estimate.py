"""What a training will cost, measured before it starts: frames, size, memory, time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st
from run_view import Stamp
from widgets import PageProgress, metric_tile

if TYPE_CHECKING:
    from nerv_clip.cli import Estimate, PlanPreview

LONG = 3600  # seconds above which a training is called long


@st.cache_data(max_entries=64, show_spinner="Measuring one training step…")
def measured_cost(flags: tuple[str, ...], at: Stamp, _outf: str) -> Estimate:
    """Size, memory and time of a training of a number of epochs, from one step of it.

    ``at`` is the stamp of the video; the run directory ``_outf`` makes no difference.
    """
    from nerv_clip.cli import estimate, parse

    return estimate(parse([*flags, "--outf", _outf]))


@st.cache_data(max_entries=64, show_spinner=False)
def previewed_plan(flags: tuple[str, ...], at: Stamp, _outf: str) -> PlanPreview:
    """What a training with a time will read; arguments as those of `measured_cost`."""
    from nerv_clip.cli import parse, preview_plan

    return preview_plan(parse([*flags, "--outf", _outf]), PageProgress())


def show_cost(cost: Estimate) -> None:
    """Frames, parameters, memory and time of a training of a number of epochs."""
    columns = st.container(key="pairs estimate").columns(5)
    metric_tile(columns[0], "Frames", f"{cost.frames:,}", f"{cost.width}×{cost.height}")
    metric_tile(columns[1], "Train frames", f"{cost.train_frames:,}", f"{cost.held_out:,} held out")
    parameters = cost.decoder_parameters + cost.head_parameters
    size = f"{cost.checkpoint_bytes / 1e6:.1f} MB"
    metric_tile(columns[2], "Parameters", f"{parameters / 1e6:.3f} M", size)
    _memory(columns[3], cost.memory_bytes)
    metric_tile(
        columns[4],
        "Estimated time",
        duration(cost.seconds),
        f"{cost.steps:,} steps",
        "From one training step, measured on this machine.",
    )
    _about_held_out(cost.held_out)
    if cost.seconds > LONG:
        _warn(
            f"This training takes about {cost.seconds / 3600:.3g} hours on this machine. Give a "
            "time instead: the size of the frames, the networks and the epochs are then planned "
            "to fit it."
        )


def show_plan(plan: PlanPreview, minutes: float) -> None:
    """Frames, their size, memory and time of a training with a time."""
    columns = st.container(key="pairs estimate").columns(5)
    metric_tile(
        columns[0],
        "Time",
        duration(60 * minutes),
        "in all",
        "Reading the video, training and evaluation. While it trains, the number of epochs is "
        "changed so that the training ends in time.",
    )
    step = round(plan.source_frames / plan.frames)
    kept = "every frame" if step == 1 else f"every {_ordinal(step)} of {plan.source_frames:,}"
    metric_tile(columns[1], "Frames", f"{plan.frames:,}", kept)
    size, source = (plan.width, plan.height), (plan.source_width, plan.source_height)
    note = "as the source" if size == source else "source {}×{}".format(*source)
    metric_tile(columns[2], "Frame size", "{}×{}".format(*size), note)
    metric_tile(columns[3], "Train frames", f"{plan.train_frames:,}", f"{plan.held_out:,} held out")
    _memory(columns[4], plan.memory_bytes)
    st.caption(
        "Measured on this machine. The networks and the number of epochs are planned when the "
        "video has been read and its shots are known."
    )
    _about_held_out(plan.held_out)
    if 60 * minutes > LONG:
        _warn(
            f"This training takes {minutes / 60:.3g} hours. To see a result sooner, give a shorter "
            "time instead: a finished training can be continued."
        )


def duration(seconds: float) -> str:
    """A duration in seconds, minutes or hours."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _memory(place: st.delta_generator.DeltaGenerator, number: int) -> None:
    metric_tile(
        place,
        "Memory",
        f"{number / 1e6:,.0f} MB",
        "+ 1–2 GB PyTorch",
        "The frames, the weights with gradients and optimiser state, and the activations saved for "
        "the backward pass. PyTorch and, while true embeddings are computed, the teacher need "
        "memory in addition.",
    )


def _about_held_out(held_out: int) -> None:
    if not held_out:
        st.caption("No frames are held out, so generalisation cannot be tested.")


def _warn(text: str) -> None:
    st.warning(text, icon=":material/schedule:")


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ending}"
