"""Entry point: what is served, and to whom. The app itself is ``navigation.py``."""

from __future__ import annotations

import streamlit as st
from guard import THIS_MACHINE, Guard, is_loopback
from options import read_options
from starlette.middleware import Middleware

listen = read_options().listen
hosts = THIS_MACHINE.union(st.get_option("server.allowedHosts") if listen else ())
safe = listen or is_loopback(st.get_option("server.address"))
app = st.App("navigation.py" if safe else "refusal.py", middleware=[Middleware(Guard, hosts=hosts)])
