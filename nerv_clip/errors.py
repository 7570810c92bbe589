"""The one exception whose message is written for the user."""

from __future__ import annotations


class InputError(Exception):
    """The input cannot be used: a file, a value, or a combination of them.

    The message is one line that says what is wrong and what to do. It names arguments in
    backticks, such as `` `data_split` ``; the command line replaces them by its flags
    (`nerv_clip.cli.options.with_flags`). Scripts print the line and exit with code 2; the app
    shows it with ``st.error``. Any other exception is a bug.

    Bytes of a path that are not UTF-8 are escaped (``\\udcff``), so that the line can be shown.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.encode(errors="backslashreplace").decode())
