"""Bring a video, see what a training will be, start it, watch it."""

from __future__ import annotations

import shlex
from pathlib import Path

import charts
import pandas as pd
import streamlit as st
from look import tile
from trainings import last_line, running, sources, start, stop

from nerv_clip import InputError, Run
from nerv_clip.files import make_folder

UPLOADS = Path("data/uploads")
MOST_BYTES = 500_000_000
PRESETS = {
    "default": "the best pictures for the size",
    "fast": "a third of the time, at some PSNR",
    "hnerv": "HNeRV: its encoder sees the frames",
    "nerv": "NeRV: time alone",
}


def source() -> Path | None:
    """The video: uploaded, or one below the data folder."""
    upload, known = st.tabs(["Upload", "From the data folder"])
    with upload:
        file = st.file_uploader("A video", type=["mp4", "webm", "mkv", "mov", "avi", "gif"])
        if file is not None:
            if file.size > MOST_BYTES:
                st.error(f"the file has {file.size / 1e6:.0f} MB: give one below 500 MB")
            else:
                path = make_folder(UPLOADS) / Path(file.name).name
                if not path.exists() or path.stat().st_size != file.size:
                    path.write_bytes(file.getvalue())
                st.session_state.source = str(path)
    with known:
        choices = [str(path) for path in sources(Path("data"))]
        if choices:
            picked = st.selectbox("Video, or folder of images", choices, index=None)
            if picked:
                st.session_state.source = picked
        else:
            st.caption("Nothing under `data/` yet.")
    chosen = st.session_state.get("source")
    return Path(chosen) if chosen and Path(chosen).exists() else None


def command(path: Path) -> list[str]:
    """The flags, from the form."""
    first, second, third = st.columns(3)
    name = first.text_input("Name", path.stem, help="the run directory: output/NAME")
    preset = second.selectbox(
        "Preset", list(PRESETS), format_func=lambda p: f"{p}: {PRESETS[p]}", index=1
    )
    split = third.text_input(
        "Split", "3_3_4", help="a_b_c: of every c frames the first a train, from b on held out"
    )
    size = first.number_input("Model size, millions", 0.02, 50.0, 0.35, 0.05)
    epochs = second.number_input("Epochs", 1, 5000, 100)
    resize = third.text_input("Resize to HEIGHT_WIDTH", "-1", help="-1 keeps the size")
    batch = first.number_input("Batch", 1, 64, 2)
    seed = second.number_input("Seed", 0, 2**31 - 1, 1)
    argv = ["--data_path", str(path), "--outf", f"output/{name}", "--preset", preset]
    argv += ["--data_split", split, "--modelsize", f"{size:g}", "-e", str(epochs)]
    argv += ["-b", str(batch), "--manualSeed", str(seed)]
    argv += [] if resize == "-1" else ["--resize_list", resize]
    if st.toggle("Predict CLIP embeddings", True):
        left, middle, right = st.columns(3)
        teacher = left.text_input("Teacher", "demo", help="demo, an open_clip model, local-dir:…")
        weights = middle.text_input("Its weights", "", help="a tag, or a file; empty for demo")
        warm_up = right.number_input("Warm-up epochs", 0, 5000, min(50, int(epochs) // 2))
        argv += ["--predict_clip", "--clip_model", teacher]
        argv += ["--pixel_loss_warmup_epochs", str(warm_up)]
        argv += ["--clip_pretrained", weights] if weights else []
    return argv


def foretell(argv: list[str]) -> None:
    """Size, memory and time, measured by a step."""
    from nerv_clip import estimate, parse

    with st.spinner("measuring a step…"):
        e = estimate(parse(argv))
    columns = st.columns(4)
    weights = e.decoder_parameters + e.head_parameters
    memory = f"{e.clip_bytes / 1e6:.0f} MB in memory"
    tile(columns[0], "Clip", f"{e.frames} frames", f"{e.width}×{e.height}, {memory}")
    size = f"about {e.checkpoint_bytes / 1e6:.1f} MB"
    tile(columns[1], "Network", f"{weights / 1e6:.3f} M", size)
    tile(columns[2], "Frames seen / held out", f"{e.train_frames} / {e.held_out}")
    tile(columns[3], "Time here", f"{e.seconds / 60:.0f} min", f"{e.steps:,} steps")


@st.fragment(run_every=2.0)
def watch() -> None:
    """Trainings that run now, in this app or in a terminal."""
    st.subheader("Running now")
    found = running()
    if not found:
        st.caption("No training runs below the folders shown here.")
    for path, how_far in found:
        with st.container(border=True):
            left, right = st.columns([5, 1])
            done = how_far.get("step", 0) / max(how_far.get("steps", 1), 1)
            left.markdown(f"**{path.name}**")
            text = last_line(path.name) or "starting…"
            if how_far:
                left_over = how_far["seconds"] / max(done, 1e-6) * (1 - done)
                text = (
                    f"epoch {how_far['epoch']} of {how_far['epochs']} · {how_far['psnr']:.2f} dB · "
                    f"about {left_over / 60:.0f} min left"
                )
            left.progress(min(done, 1.0), text=text)
            if how_far and right.button("Stop", key=f"stop {path}", icon=":material/stop_circle:"):
                stop(how_far["pid"])
            history = Run(path).history
            if history.exists():
                table = pd.read_csv(history)
                if len(table) > 1:
                    charts.show(charts.training(table), f"live {path}")


def main() -> None:
    """The page."""
    st.title("Train")
    path = source()
    if path is None:
        st.info("Bring a video: upload one, or put it under `data/`.")
    else:
        st.caption(f"Source: `{path}`")
        argv = command(path)
        st.code("python train/train_nerv_clip.py " + shlex.join(argv), language="bash")
        try:
            from nerv_clip import parse

            parse(argv)
            left, right = st.columns(2)
            if left.button("Measure before starting", icon=":material/straighten:"):
                foretell(argv)
            if right.button("Start training", type="primary", icon=":material/play_arrow:"):
                name = argv[argv.index("--outf") + 1]
                start(argv, Path(name).name)
                st.toast(f"Started: {name}")
        except InputError as error:
            st.error(str(error), icon=":material/error:")
    watch()


main()
