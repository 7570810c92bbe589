"""The app: navigation, the run picker, and the state in the URL."""

from __future__ import annotations

import streamlit as st
from guard import Guard
from session import read_url, run_picker, show_unreadable_runs, switch_to_opened, write_url
from theme import LOGO, page_icon, style
from widgets import input_errors

PAGES = {
    "Selected run": [
        st.Page("screens/overview.py", title="Overview", icon=":material/dashboard:", default=True),
        st.Page("screens/frames.py", title="Frames", icon=":material/movie:"),
        st.Page("screens/semantics.py", title="Semantics", icon=":material/insights:"),
        st.Page("screens/embedding_map.py", title="Embedding map", icon=":material/scatter_plot:"),
        st.Page("screens/search.py", title="Search", icon=":material/search:"),
        st.Page("screens/verify.py", title="Verify", icon=":material/verified:"),
    ],
    "All runs": [
        st.Page("screens/compare.py", title="Compare", icon=":material/compare:"),
        st.Page("screens/train.py", title="Train", icon=":material/model_training:"),
    ],
}
WITHOUT_SELECTED_RUN = ("Train", "Compare")

st.set_page_config(page_title="NeRV-CLIP", page_icon=page_icon(), layout="wide")
if not Guard.in_use:
    st.error("This script is a part of the app. To start the app: streamlit run app/main.py")
    st.stop()
st.html(style())
st.logo(str(LOGO), size="large")
read_url()
page = st.navigation(PAGES)
switch_to_opened()
with st.sidebar:
    st.session_state.selected_run = run = run_picker()
    show_unreadable_runs()
with input_errors():
    if run is None and page.title not in WITHOUT_SELECTED_RUN:
        st.title("No runs yet")
        st.info(
            "Train one on the **Train** page, or in a terminal:\n\n"
            "`python train/train_nerv_clip.py --data_path VIDEO --predict_clip --data_split 3_3_4 "
            "--modelsize 0.35 --resize_list 180_320 -e 60 --outf first`\n\n"
            "The run appears here after its first evaluation."
        )
    else:
        page.run()
write_url()
