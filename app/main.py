"""The app's frame: pages, the run picker, and what stands in the URL."""

from __future__ import annotations

import streamlit as st
from session import pick_run, remember, restore
from theme import LOGO, icon, refusals, style

PAGES = {
    "One run": [
        st.Page("screens/overview.py", title="Overview", icon=":material/dashboard:", default=True),
        st.Page("screens/frames.py", title="Frames", icon=":material/movie:"),
        st.Page("screens/semantics.py", title="Semantics", icon=":material/insights:"),
        st.Page("screens/embedding_map.py", title="Embedding map", icon=":material/scatter_plot:"),
        st.Page("screens/search.py", title="Search", icon=":material/search:"),
        st.Page("screens/verify.py", title="Verify", icon=":material/verified:"),
    ],
    "Many": [
        st.Page("screens/compare.py", title="Compare", icon=":material/compare:"),
        st.Page("screens/train.py", title="Train", icon=":material/model_training:"),
    ],
}
ALONE = ("Train", "Compare")  # pages that need no picked run

st.set_page_config(page_title="NeRV-CLIP", page_icon=icon(), layout="wide")
st.html(style())
st.logo(str(LOGO), size="large")
restore()
page = st.navigation(PAGES)
with st.sidebar:
    st.session_state.path = run = pick_run()
with refusals():
    if run is None and page.title not in ALONE:
        st.title("No runs yet")
        st.info(
            "Train one on the **Train** page, or in a terminal:\n\n"
            "`python train/train_nerv_clip.py --data_path VIDEO --predict_clip --outf first`\n\n"
            "It appears here as soon as its first evaluation is written."
        )
    else:
        page.run()
remember()
