"""Bring a video, see what a training will be, start it, watch it."""

from __future__ import annotations

import hashlib
import re
import shlex
from pathlib import Path

import charts
import pandas as pd
import streamlit as st
from inference import draw
from run_view import read_view, stamp, true_picture
from session import folders, kept, run_names
from theme import picture_url, refusals, tile
from training_processes import dismiss, ended, last_line, running, sources, start, stop

from nerv_clip import InputError, Run, frame_time
from nerv_clip.cli import Estimate
from nerv_clip.files import atomic_write, file_hash, make_folder

UPLOADS = Path("data/uploads")
MOST_BYTES = 500_000_000
PRESETS = {
    "default": "good pictures in good time",
    "fast": "less time, at some PSNR",
    "best": "better, in several times the time",
    "hnerv": "HNeRV: its encoder sees the frames",
    "nerv": "NeRV: time alone",
}


def source() -> Path | None:
    """The video: uploaded, or one below the data folder."""
    upload, known = st.tabs(["Upload", "From the data folder"])

    def picked() -> None:
        st.session_state.source = st.session_state["source picked"] or st.session_state.source

    def uploaded() -> None:
        file = st.session_state["source uploaded"]
        if file is not None and file.size <= MOST_BYTES:
            with refusals():
                st.session_state.source = str(stored(Path(file.name).name, file.getvalue()))

    st.session_state.setdefault("source", None)
    with upload:
        file = st.file_uploader(
            "A video", type=["mp4", "webm", "mkv", "mov", "avi", "gif"],
            key="source uploaded", on_change=uploaded,
        )  # fmt: skip
        if file is not None and file.size > MOST_BYTES:
            st.error(f"the file has {file.size / 1e6:.0f} MB: give one below 500 MB")
    with known:
        choices = [str(path) for path in sources(Path("data"))]
        if choices:
            st.selectbox(
                "Video, or folder of images", choices, index=None,
                key="source picked", on_change=picked,
            )  # fmt: skip
        else:
            st.caption("Nothing under `data/` yet.")
    chosen = st.session_state.source
    return Path(chosen) if chosen and Path(chosen).exists() else None


def stored(name: str, content: bytes) -> Path:
    """Where an upload lies; another video of the same name stays what it is."""
    path = make_folder(UPLOADS) / name
    digest = hashlib.sha256(content).hexdigest()
    if path.exists() and file_hash(path) != digest:
        path = path.with_stem(f"{path.stem}-{digest[:8]}")
    if not path.exists():
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
    return path


def command(path: Path) -> list[str]:
    """The flags, from the form; what is left at its default is left out."""
    name, preset, split = st.columns(3)
    called = name.text_input(
        "Name", key=kept(f"train name {path}", spare_name(path.stem)), help="of the run directory"
    )
    if not re.fullmatch(r"\w[\w.-]*", called):
        raise InputError(f"a name has letters, digits, '_', '-' and '.' only, unlike '{called}'")
    argv = ["--data_path", str(path), "--outf", f"output/{called}"]
    chosen = preset.selectbox(
        "Preset",
        list(PRESETS),
        format_func=lambda p: f"{p}: {PRESETS[p]}",
        key=kept("train preset", "fast"),
    )
    dealt = split.text_input(
        "Split",
        key=kept("train split", "3_3_4"),
        help="a_b_c: of every c frames the first a train, from b on held out",
    )
    argv += ["--preset", chosen, "--data_split", dealt]
    size, epochs, often = st.columns(3)
    millions = size.number_input(
        "Model size, millions", 0.02, 50.0, step=0.05, key=kept("train size", 0.35)
    )
    count = epochs.number_input("Epochs", 1, 5000, key=kept("train epochs", 100))
    argv += ["--modelsize", f"{millions:g}", "-e", str(count)]
    argv += [
        "--eval_freq",
        str(often.number_input("Epochs between evaluations", 1, 5000, key=kept("train often", 10))),
    ]
    if st.toggle("Predict CLIP embeddings", key=kept("train semantic", True)):
        argv += semantic_flags(int(count))
    with st.expander("More: size of the frames, part of the video, learning"):
        argv += further_flags()
    return argv


def spare_name(stem: str) -> str:
    """A name that no run has yet."""
    stem = re.sub(r"[^\w.-]+", "_", stem).lstrip("._-") or "run"
    names = [stem, *(f"{stem}_{i}" for i in range(2, 1000))]
    return next(name for name in names if not Path("output", name).exists())


def semantic_flags(epochs: int) -> list[str]:
    """Teacher, warm-up, weight of the CLIP loss."""
    teacher, weights, warm_up, weight = st.columns(4)
    model = teacher.selectbox(
        "Teacher", ["demo", "ViT-B-32"], accept_new_options=True, key=kept("train teacher", "demo"),
        help="demo: the small encoder that ships, of kitchens only. Any open_clip model's name, "
        "or local-dir:FOLDER.",
    )  # fmt: skip
    file = weights.text_input(
        "Its weights", key=kept("train weights", ""), help="a tag, or a file; empty: the default"
    )
    epochs_ = warm_up.number_input(
        "Warm-up epochs", 0, 5000, value=None, key=kept("train warm-up", None),
        placeholder=f"{min(50, epochs // 2)}", help="of the pixel loss alone",
    )  # fmt: skip
    if epochs_ is None:
        epochs_ = min(50, epochs // 2)
    share = weight.number_input("CLIP loss weight", 0.0, 10.0, step=0.01, key=kept("train λ", 0.1))
    argv = ["--predict_clip", "--clip_model", model or "demo"]
    argv += ["--clip_pretrained", file] if file else []
    argv += ["--pixel_loss_warmup_epochs", str(epochs_)]
    return [*argv, "--clip_loss_weight", f"{share:g}"]


def further_flags() -> list[str]:
    """What most trainings leave alone; only what was changed is returned."""
    first, second, third, fourth = st.columns(4)
    asked = {
        "--resize_list": (
            first.text_input("Resize to HEIGHT_WIDTH", key=kept("train resize", "-1")),
            "-1",
        ),
        "--vid_start": (second.number_input("First frame", 0, key=kept("train start", 0)), 0),
        "--vid_end": (
            third.number_input("End, exclusive", 1, value=None, key=kept("train end", None)),
            None,
        ),
        "--vid_step": (fourth.number_input("Every n-th frame", 1, key=kept("train step", 1)), 1),
        "-b": (
            first.number_input(
                "Batch", 1, 64, value=None, placeholder="preset's", key=kept("train batch", None)
            ),
            None,
        ),
        "--lr": (
            second.number_input(
                "Learning rate", 1e-6, 1.0, value=None, format="%g", placeholder="preset's",
                key=kept("train rate", None),
            ),
            None,
        ),
        "--clip_tap": (
            third.number_input(
                "CLIP head after up-block", 1, 8, value=None, placeholder="the stem",
                help="a later one makes search slower", key=kept("train tap", None),
            ),
            None,
        ),
        "--manualSeed": (fourth.number_input("Seed", 0, 2**31 - 1, key=kept("train seed", 1)), 1),
    }  # fmt: skip
    changed = {flag: value for flag, (value, usual) in asked.items() if value != usual}
    return [part for flag, value in changed.items() for part in (flag, str(value))]


@st.cache_data(max_entries=64, show_spinner="measuring a step…")
def forecast(argv: tuple[str, ...], at: tuple[str, int, int]) -> Estimate:
    """Size, memory and time of a training, by one step of it."""
    from nerv_clip.cli import estimate, parse

    return estimate(parse(list(argv)))


def foretell(e: Estimate) -> None:
    """Size, memory and time, before it is started."""
    columns = st.container(key="pairs forecast").columns(5)
    tile(columns[0], "Frames", f"{e.frames:,}", f"{e.width}×{e.height}")
    tile(columns[1], "Seen", f"{e.train_frames:,}", f"{e.held_out:,} held out")
    weights = e.decoder_parameters + e.head_parameters
    tile(columns[2], "Parameters", f"{weights / 1e6:.3f} M", f"{e.checkpoint_bytes / 1e6:.1f} MB")
    tile(
        columns[3], "Memory", f"{e.memory_bytes / 1e6:,.0f} MB", "and 1 to 2 GB of torch",
        "The frames, the weights with gradient and moments, and what a step keeps; beside them "
        "the libraries, and for a while the teacher.",
    )  # fmt: skip
    tile(columns[4], "Time here", lasting(e.seconds), f"{e.steps:,} steps", "By a step, just now.")


def lasting(seconds: float) -> str:
    """A duration as one says it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def written_out(argv: list[str]) -> str:
    """The command, a line for every few flags."""
    words = shlex.join(argv).split(" --")
    lines = ["python train/train_nerv_clip.py"]
    for word in [words[0], *(f"--{word}" for word in words[1:])]:
        if len(lines[-1]) + len(word) > 74:
            lines.append("  ")
        lines[-1] += f" {word}"
    return " \\\n".join(lines)


def offer(path: Path, argv: list[str]) -> None:
    """What the training will be, and the button that starts it."""
    run = Run(Path(argv[argv.index("--outf") + 1]))
    busy, there = run.training() is not None, run.is_run
    place, estimate = st.container(), forecast(tuple(argv), stamp(path))
    label = "Go on training" if there else "Start training"
    if place.button(label, type="primary", icon=":material/play_arrow:", disabled=busy):
        start(argv, run.path.name)
        st.toast(f"Started: {run.path}")
    if busy:
        place.caption(f"{run.path} is being trained now: see below.")
    elif there:
        place.caption(
            f"{run.path} exists: with the flags that it was trained with, this goes on with it; "
            "for others, choose another name."
        )
    foretell(estimate)
    if not estimate.held_out:
        st.caption("No frame is held out: whether the network generalises cannot be told then.")


@st.fragment(run_every=2.0)
def watch() -> None:
    """Trainings that run now, in this app or in a terminal, and those that ended."""
    st.subheader("Running now")
    found = running()
    for path, how_far in found:
        with st.container(border=True):
            progress_of(path, how_far)
            pictures(path)
    if not found:
        st.caption("No training runs below the folders shown here.")
    names = {where: name for name, where in run_names(tuple(map(str, folders()))).items()}
    if ended():
        st.subheader("Ended")
    for name, well in ended().items():
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            mark = ":green[:material/check_circle:]" if well else ":orange[:material/cancel:]"
            said = last_line(name).removeprefix("train_nerv_clip.py: ")
            st.markdown(f"{mark} **{name}** {'is finished' if well else 'ended early'}: {said}")
            listed = names.get(f"output/{name}")
            icon = ":material/dashboard:"
            if listed and st.button(f"Open {name}", key=f"open {name}", icon=icon):
                st.session_state.opening = listed  # a page is left by a whole run, not from here
                st.rerun()
            if st.button("Dismiss", key=f"dismiss {name}", type="tertiary"):
                dismiss(name)
                st.rerun()


def progress_of(path: Path, how_far: dict[str, float]) -> None:
    """How far a training is, with what stops it."""
    left, right = st.columns([5, 1], vertical_alignment="center")
    done = how_far.get("step", 0) / max(how_far.get("steps", 1), 1)
    text = last_line(path.name) or "starting…"
    if how_far:
        over = how_far["seconds"] / max(done, 1e-6) * (1 - done)
        text = (
            f"epoch {how_far['epoch']} of {how_far['epochs']} · {how_far['psnr']:.2f} dB on train "
            f"frames · about {lasting(over)} left"
        )
    left.progress(min(done, 1.0), text=f"**{path.name}** · {text}")
    if how_far and right.button("Stop", key=f"stop {path}", icon=":material/stop_circle:"):
        stop(int(how_far["pid"]))


def pictures(path: Path) -> None:
    """The curves so far, and a frame as the last good checkpoint draws it."""
    run = Run(path)
    if run.history.exists():
        table = pd.read_csv(run.history)
        columns = st.columns(3)
        losses = {"pixel": table["pixel_loss"], "1 − cosine": table["clip_loss"]}
        lines = {name: values.to_numpy() for name, values in losses.items() if values.notna().any()}
        with columns[0]:
            figure = charts.curves(table["epoch"].to_numpy(), lines, "Loss", "epoch", "loss")
            charts.show(figure.update_layout(height=300), f"loss {path}", table)
        for column, (field, title, y) in zip(columns[1:], charts.TRAINING, strict=True):
            with column:
                drawn_ = charts.training(table, field, title, y)
                if drawn_ is not None:
                    charts.show(drawn_, f"{field} {path}", table)
    try:
        view = read_view(run)
        frame = view.frames // 2
        beside = st.container(key=f"pairs live {path.name}").columns(4)
        true = true_picture(view, frame)
        if true is not None:
            beside[1].image(picture_url(true), caption=f"frame {frame}, true", width="stretch")
        drawn = picture_url(draw(view, frame_time(frame, view.frames)))
        beside[0].image(drawn, caption=f"frame {frame}, so far", width="stretch")
    except (InputError, OSError):
        st.caption("Its first picture comes with the first evaluation.")


def main() -> None:
    """The page."""
    if "opening" in st.session_state:
        st.session_state.run = st.session_state.pop("opening")
        st.switch_page("screens/overview.py")
    st.title("Train")
    path = source()
    if path is None:
        st.info("Bring a video: upload one, or put it under `data/`.")
    else:
        st.caption(f"Source: `{path}`")
        with refusals():
            from nerv_clip.cli import parse

            argv = command(path)
            st.code(written_out(argv), language="bash", wrap_lines=True)
            parse(argv)
            offer(path, argv)
    watch()


main()
