"""The app: for now, the runs it finds."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import streamlit as st

from nerv_clip import find_runs


def main(argv: list[str]) -> None:
    """List the runs below the folders named by ``--runs``."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", action="append", type=Path, help="a folder that holds runs")
    folders = parser.parse_args(argv).runs or [Path("output")]
    st.set_page_config(page_title="NeRV-CLIP")
    st.title("NeRV-CLIP")
    runs = find_runs(folders)
    if not runs:
        st.info("No runs yet. Train one: `python train/train_nerv_clip.py --data_path VIDEO`")
    for run in runs:
        st.subheader(str(run.path))


main(sys.argv[1:])
