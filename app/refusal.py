"""The only page of an app that other machines could reach without ``--listen``."""

from __future__ import annotations

import streamlit as st
from theme import LOGO, page_icon, style

st.set_page_config(page_title="NeRV-CLIP", page_icon=page_icon())
st.html(style())
st.logo(str(LOGO), size="large")
st.title("Not served to other machines")
st.error(
    "The app reads and writes files of this machine and has no passwords, so it is served to this "
    "machine only. This server listens on an address that other machines can reach.",
    icon=":material/block:",
)
st.markdown("To use the app on this machine, start it without `--server.address`:")
st.code("streamlit run app/main.py -- --runs output", language="bash", wrap_lines=True)
st.markdown(
    "To share it with everyone who can reach this machine, name the address that they open, and "
    "add `--listen`:"
)
st.code(
    "streamlit run app/main.py --server.address 0.0.0.0 \\\n"
    "  --server.allowedHosts ADDRESS -- --runs output --listen",
    language="bash",
    wrap_lines=True,
)
