"""The form of the Train page: a video, and the flags of a training."""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path

import streamlit as st
from file_names import MOST_NAME_BYTES, short_name
from session import persistent
from training_processes import find_videos
from widgets import input_errors

from nerv_clip import InputError
from nerv_clip.files import atomic_write, exclusive, file_hash, make_folder, sweep
from nerv_clip.video.reader import ANIMATION_SUFFIXES, VIDEO_SUFFIXES

UPLOADS = Path("data/uploads")
MOST_BYTES = 500_000_000  # of an uploaded video
PRESETS = {
    "default": "Balanced quality and time",
    "fast": "Fast, slightly blurrier",
    "best": "Sharper, several times slower",
    "hnerv": "HNeRV: with an encoder of the frames",
    "nerv": "NeRV: time is the only input",
}


def video_picker() -> Path | None:
    """A video: an upload, or a file in the data folder."""
    upload_tab, folder_tab = st.tabs(["Upload", "From the data folder"])

    def select() -> None:
        st.session_state.video = st.session_state["picked video"] or st.session_state.video

    def save_upload() -> None:
        file = st.session_state["uploaded video"]
        if file is not None and file.size <= MOST_BYTES:
            with input_errors():
                st.session_state.video = str(store_upload(file.name, file.getvalue()))

    st.session_state.setdefault("video", None)
    with upload_tab:
        file = st.file_uploader(
            "Video, or animated image",
            type=sorted(suffix[1:] for suffix in VIDEO_SUFFIXES | ANIMATION_SUFFIXES),
            key="uploaded video", on_change=save_upload,
        )  # fmt: skip
        if file is not None and file.size > MOST_BYTES:
            st.error(f"The file has {file.size / 1e6:.0f} MB. The limit is 500 MB.")
    with folder_tab:
        choices = [str(path) for path in find_videos(Path("data"))]
        if choices:
            st.selectbox(
                "Video, or folder of images", choices, index=None,
                key="picked video", on_change=select,
            )  # fmt: skip
        else:
            st.caption("There is no video in `data/` yet.")
    chosen = st.session_state.video
    return Path(chosen) if chosen and Path(chosen).exists() else None


def store_upload(name: str, content: bytes) -> Path:
    """Save an upload; another video of the same name is not overwritten."""
    path = make_folder(UPLOADS) / short_name(name)
    digest = hashlib.sha256(content).hexdigest()
    with exclusive(path):
        sweep(UPLOADS)
        if path.exists() and (path.stat().st_size != len(content) or file_hash(path) != digest):
            path = path.with_stem(f"{path.stem}-{digest[:8]}")
        if not path.exists():
            with atomic_write(path) as temporary:
                temporary.write_bytes(content)
    return path


def training_flags(video: Path) -> list[str]:
    """The flags of the form; optional ones only where they differ from their defaults."""
    first, second, third = st.columns(3)  # a row each: a phone stacks the columns of a row
    name = first.text_input(
        "Name",
        key=persistent(f"train name {video}", unused_name(video.stem)),
        help="Name of the folder in output/",
    )
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise InputError(
            f"the name '{name}' is not valid: use letters, digits, '_', '-' and '.' only"
        )
    if len(name.encode()) > MOST_NAME_BYTES:
        raise InputError(f"the name has {len(name.encode())} bytes: use at most {MOST_NAME_BYTES}")
    preset = second.selectbox(
        "Preset",
        list(PRESETS),
        format_func=lambda preset: PRESETS[preset],
        key=persistent("train preset", "fast"),
    )
    split = third.text_input(
        "Split",
        key=persistent("train split", "3_3_4"),
        help="`3_3_4`: train on 3 of every 4 frames, test on the 4th. `1_1_1`: train on all "
        "frames. In general, `a_b_c` trains on the first a of every c frames and tests on those "
        "after the first b.",
    )
    first, second, third = st.columns(3)
    size = first.number_input(
        "Model size (million parameters)", 0.02, 50.0, step=0.05, key=persistent("train size", 0.35)
    )
    epochs = second.number_input("Epochs", 1, 5000, key=persistent("train epochs", 100))
    every = third.number_input(
        "Epochs between evaluations", 1, 5000, key=persistent("train eval_freq", 10)
    )
    argv = ["--data_path", str(video), "--outf", f"output/{name}", "--preset", preset]
    argv += ["--data_split", split, "--modelsize", f"{size:g}", "-e", str(epochs)]
    argv += ["--eval_freq", str(every)]
    if st.toggle("Predict CLIP embeddings", key=persistent("train predict_clip", True)):
        argv += clip_flags(int(epochs))
    with st.expander("More settings: frame size, part of the video, optimisation"):
        argv += further_flags()
    return argv


def unused_name(stem: str) -> str:
    """A name that no run in output/ has yet."""
    stem = re.sub(r"[^\w.-]+", "_", stem).lstrip("._-")
    stem = stem.encode()[: MOST_NAME_BYTES - 4].decode(errors="ignore") or "run"
    names = [stem, *(f"{stem}_{i}" for i in range(2, 1000))]
    return next(name for name in names if not Path("output", name).exists())


def clip_flags(epochs: int) -> list[str]:
    """Teacher, warm-up, and weight of the CLIP loss."""
    first, second, third, fourth = st.columns(4)
    teacher = first.selectbox(
        "Teacher", ["demo", "ViT-B-32"], accept_new_options=True,
        key=persistent("train clip_model", "demo"),
        help="The CLIP model whose embeddings the network learns: any open_clip model, or "
        "local-dir:FOLDER. demo is the small encoder included here, for rendered kitchens only.",
    )  # fmt: skip
    weights = second.text_input(
        "Weights (optional)", key=persistent("train clip_pretrained", ""),
        help="An open_clip tag, or a file",
    )  # fmt: skip
    usual = min(50, epochs // 2)
    warm_up = third.number_input(
        "Warm-up epochs", 0, 5000, value=None, key=persistent("train warm-up", None),
        placeholder=f"{usual}", help="Epochs before CLIP training starts",
    )  # fmt: skip
    weight = fourth.number_input(
        "CLIP loss weight", 0.0, 10.0, step=0.01, key=persistent("train clip_loss_weight", 0.1)
    )
    argv = ["--predict_clip", "--clip_model", teacher or "demo"]
    argv += ["--clip_pretrained", weights] if weights else []
    argv += ["--pixel_loss_warmup_epochs", str(usual if warm_up is None else warm_up)]
    return [*argv, "--clip_loss_weight", f"{weight:g}"]


def further_flags() -> list[str]:
    """Flags that most trainings leave at their defaults; only changed ones are returned."""
    first, second, third, fourth = st.columns(4)
    values = {
        "--resize_list": first.text_input(
            "Resize (HEIGHT_WIDTH)", placeholder="original size", key=persistent("train resize", "")
        )
        or None,
        "--vid_start": second.number_input("First frame", 0, key=persistent("train start", 0))
        or None,
        "--vid_end": third.number_input(
            "End frame (exclusive)", 1, value=None, placeholder="end of the video",
            key=persistent("train end", None),
        ),
        "--vid_step": fourth.number_input(
            "Use every n-th frame", 1, key=persistent("train step", 1)
        ),
        "-b": first.number_input(
            "Batch size", 1, 64, value=None, placeholder="from the preset",
            key=persistent("train batch", None),
        ),
        "--lr": second.number_input(
            "Learning rate", 1e-6, 1.0, value=None, format="%g", placeholder="from the preset",
            key=persistent("train lr", None),
        ),
        "--clip_tap": third.number_input(
            "CLIP head after up-block", 1, 8, value=None, placeholder="the stem",
            help="A later block makes search slower", key=persistent("train clip_tap", None),
        ),
        "--manualSeed": fourth.number_input("Seed", 0, 2**31 - 1, key=persistent("train seed", 1)),
    }  # fmt: skip
    unchanged = {"--vid_step": 1, "--manualSeed": 1}
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
