"""The form of the Train page: how long a training may take, its name, and all its flags."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import streamlit as st
from file_names import MOST_NAME_BYTES
from session import persistent

MINUTES = (2, 10, 30, 60)
CUSTOM, BY_HAND = "Custom", "Set epochs myself"
PRESETS = {
    "default": "Balanced quality and time",
    "fast": "Fast, slightly blurrier",
    "best": "Sharper, several times slower",
    "hnerv": "HNeRV: with an encoder of the frames",
    "nerv": "NeRV: time is the only input",
}
PLANNED = "planned"  # what stands in an empty field


class Form(NamedTuple):
    """What the form says: the flags of the training, and the name of its folder in output/.

    ``minutes`` is the time that the training may take, None where the epochs are given.
    ``problem`` is what is wrong with a field, or empty.
    """

    argv: list[str]
    name: str
    minutes: float | None
    problem: str


def training_form(video: Path) -> Form:
    """Draw the form; only fields that differ from their defaults become flags."""
    with st.container():  # so that the fields below keep their places
        minutes = time_field()
    first, second, third = st.columns(3, vertical_alignment="bottom")
    name = first.text_input(
        "Name",
        key=persistent(f"train name {video}", unused_name(video.stem)),
        help="Name of the folder in output/",
    )
    argv = ["--data_path", str(video), "--outf", f"output/{name}"]
    if minutes is not None:
        argv += ["--minutes", f"{minutes:g}"]
    predict_clip = second.toggle(
        "Predict CLIP embeddings",
        key=persistent("train predict_clip", True),
        help="Search, the embedding map and the verification need them.",
    )
    if predict_clip:
        teacher = third.selectbox(
            "Teacher", ["demo", "ViT-B-32"], accept_new_options=True,
            key=persistent("train clip_model", "demo"),
            help="The CLIP model whose embeddings the network learns: any open_clip model, or "
            "local-dir:FOLDER. demo is the small encoder included here, for rendered kitchens "
            "only.",
        )  # fmt: skip
        argv += ["--predict_clip", "--clip_model", teacher or "demo"]
    by_hand = minutes is None
    with st.expander("Advanced", expanded=by_hand):
        hint = "Empty fields are planned to fit the time. To set the number of epochs, choose "
        st.caption("The flags of the training." if by_hand else f"{hint} *{BY_HAND}* above.")
        argv += advanced_flags(by_hand, predict_clip)
    return Form(argv, name, minutes, problem_with(name))


def time_field() -> float | None:
    """The minutes that the training may take; None where epochs are set by hand."""
    choice = st.segmented_control(
        "How long may it take?",
        [*MINUTES, CUSTOM, BY_HAND],
        format_func=lambda choice: choice if isinstance(choice, str) else f"{choice} min",
        key=persistent("train time", 10),
        required=True,
        help="In all: reading the video, training and evaluation. The size of the frames, the "
        "networks and the number of epochs are planned to fit.",
    )
    if choice == BY_HAND:
        return None
    if choice == CUSTOM:
        return float(
            st.number_input(
                "Minutes", 0.1, 10_000.0, step=5.0, format="%g", width=200,
                key=persistent("train minutes", 20.0),
            )
        )  # fmt: skip
    return float(choice) if isinstance(choice, int) else 10.0


def unused_name(stem: str) -> str:
    """A name that no run in output/ has yet."""
    stem = re.sub(r"[^\w.-]+", "_", stem).lstrip("._-")
    stem = stem.encode()[: MOST_NAME_BYTES - 4].decode(errors="ignore") or "run"
    names = [stem, *(f"{stem}_{i}" for i in range(2, 1000))]
    return next(name for name in names if not Path("output", name).exists())


def problem_with(name: str) -> str:
    """Why a name cannot be used; empty if it can."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        return f"the name '{name}' is not valid: use letters, digits, '_', '-' and '.' only"
    if len(name.encode()) > MOST_NAME_BYTES:
        return f"the name has {len(name.encode())} bytes: use at most {MOST_NAME_BYTES}"
    return ""


def advanced_flags(by_hand: bool, predict_clip: bool) -> list[str]:
    """All other flags. Where a time is given, what counts epochs is planned and not shown."""
    argv = network_flags(by_hand)
    epochs = None
    if by_hand:
        first, second, third = st.columns(3)  # a row each: a phone stacks the columns of a row
        epochs = first.number_input("Epochs", 1, 5000, key=persistent("train epochs", 100))
        every = second.number_input(
            "Epochs between evaluations", 1, 5000, key=persistent("train eval_freq", 10)
        )
        argv += ["-e", str(epochs), "--eval_freq", str(every)]
        if predict_clip:
            argv += warm_up_flags(third, int(epochs))
    if predict_clip:
        argv += clip_flags()
    return argv + video_flags(by_hand) + optimisation_flags()


def network_flags(by_hand: bool) -> list[str]:
    """Preset, split and size of the network; with a time, only those that are not left empty."""
    form, hint = ("train", None) if by_hand else (PLANNED, PLANNED)
    first, second, third = st.columns(3)
    preset = first.selectbox(
        "Preset", list(PRESETS), index=0 if by_hand else None, placeholder=hint,
        format_func=lambda preset: PRESETS[preset],
        key=persistent(f"{form} preset", "fast" if by_hand else None),
    )  # fmt: skip
    split = second.text_input(
        "Split", placeholder=hint,
        key=persistent(f"{form} split", "3_3_4" if by_hand else ""),
        help="`3_3_4`: train on 3 of every 4 frames, test on the 4th. `1_1_1`: train on all "
        "frames. In general, `a_b_c` trains on the first a of every c frames and tests on those "
        "after the first b.",
    )  # fmt: skip
    size = third.number_input(
        "Model size (million parameters)", 0.02, 50.0, value="min" if by_hand else None, step=0.05,
        placeholder=hint, key=persistent(f"{form} size", 0.35 if by_hand else None),
    )  # fmt: skip
    values = {"--preset": preset, "--data_split": split if by_hand else split or None}
    return flags({**values, "--modelsize": None if size is None else f"{size:g}"})


def warm_up_flags(place: st.delta_generator.DeltaGenerator, epochs: int) -> list[str]:
    """The epochs before CLIP training."""
    usual = min(50, epochs // 2)
    warm_up = place.number_input(
        "Warm-up epochs", 0, 5000, value=None, key=persistent("train warm-up", None),
        placeholder=f"{usual}", help="Epochs before CLIP training starts",
    )  # fmt: skip
    return ["--pixel_loss_warmup_epochs", str(usual if warm_up is None else warm_up)]


def clip_flags() -> list[str]:
    """Weights of the teacher, how often it is asked, weight of its loss, and the heads."""
    first, second, third = st.columns(3)
    weights = first.text_input(
        "Weights of the teacher (optional)", key=persistent("train clip_pretrained", ""),
        help="An open_clip tag, or a file",
    )  # fmt: skip
    weight = second.number_input(
        "CLIP loss weight", 0.0, 10.0, step=0.01, key=persistent("train clip_loss_weight", 0.1)
    )
    tap = third.number_input(
        "CLIP head after up-block", 1, 8, value=None, placeholder="the stem",
        help="A later block makes search slower", key=persistent("train clip_tap", None),
    )  # fmt: skip
    first, second, _ = st.columns(3, vertical_alignment="bottom")
    every = first.number_input(
        "Embed one frame in", 1, 1000, key=persistent("train clip_every", 1),
        help="A large teacher takes about a second a frame on a CPU. With 4, it embeds one frame "
        "in four, while the network sees the pixels of all train frames.",
    )  # fmt: skip
    dense = second.toggle(
        "Find places in the picture", key=persistent("train predict_dense", False),
        help="Adds an embedding for each cell of a frame, so that a text lights up where it is. "
        "The teacher reads every frame at four sizes, and the checkpoint grows.",
    )  # fmt: skip
    values = {
        "--clip_pretrained": weights or None,
        "--clip_loss_weight": f"{weight:g}",
        "--clip_tap": tap,
        "--clip_every": every,
    }
    found = flags(values, {"--clip_loss_weight": "0.1", "--clip_every": 1})
    return found + (["--predict_dense"] if dense else [])


def video_flags(by_hand: bool) -> list[str]:
    """Size of the frames, and part of the video."""
    form, hint = ("train", "original size") if by_hand else (PLANNED, PLANNED)
    first, second, third, fourth = st.columns(4)
    values = {
        "--resize_list": first.text_input(
            "Resize (HEIGHT_WIDTH)", placeholder=hint, key=persistent(f"{form} resize", "")
        )
        or None,
        "--vid_start": second.number_input("First frame", 0, key=persistent("train start", 0)),
        "--vid_end": third.number_input(
            "End frame (exclusive)", 1, value=None, placeholder="end of the video",
            key=persistent("train end", None),
        ),
        "--vid_step": fourth.number_input(
            "Use every n-th frame", 1, value="min" if by_hand else None,
            placeholder=None if by_hand else hint,
            key=persistent(f"{form} step", 1 if by_hand else None),
        ),
    }  # fmt: skip
    return flags(values, {"--vid_start": 0, "--vid_step": 1 if by_hand else None})


def optimisation_flags() -> list[str]:
    """Batch size, learning rate and seed."""
    first, second, third = st.columns(3)
    values = {
        "-b": first.number_input(
            "Batch size", 1, 64, value=None, placeholder="from the preset",
            key=persistent("train batch", None),
        ),
        "--lr": second.number_input(
            "Learning rate", 1e-6, 1.0, value=None, format="%g", placeholder="from the preset",
            key=persistent("train lr", None),
        ),
        "--manualSeed": third.number_input("Seed", 0, 2**31 - 1, key=persistent("train seed", 1)),
    }  # fmt: skip
    return flags(values, {"--manualSeed": 1})


def flags(values: Mapping[str, object], defaults: Mapping[str, object] | None = None) -> list[str]:
    """Flags with their values, without those that are None or have their default."""
    unchanged = defaults or {}
    changed = {f: v for f, v in values.items() if v is not None and v != unchanged.get(f)}
    return [part for flag, value in changed.items() for part in (flag, str(value))]


def as_command(argv: list[str]) -> str:
    """The training command, in lines that fit on a phone."""
    parts: list[str] = []  # a flag with its value
    for word in argv:
        if word.startswith("-") or not parts:
            parts.append(shlex.quote(word))
        else:
            parts[-1] += f" {shlex.quote(word)}"
    lines = ["python train/train_nerv_clip.py"]
    for part in parts:
        if len(lines[-1]) + len(part) > 40:
            lines.append("  ")
        lines[-1] += f" {part}"
    return " \\\n".join(lines)
