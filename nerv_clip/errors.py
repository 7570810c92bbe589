"""The one exception that a user is meant to read."""

from __future__ import annotations


class InputError(Exception):
    """Something the user gave cannot be used.

    The message is one line that says what was wrong and what to do. Scripts print it and leave
    with exit code 2; the app shows it with ``st.error``. Anything else that is raised is a bug.
    """
