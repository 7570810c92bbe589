"""Text from files and users, shown as it is: neither Markdown nor HTML."""

from __future__ import annotations

import html
import re

# a mark of Markdown, which a_b is not, or of a directive such as :red[text]
MARKS = re.compile(r"[\\`*{}\[\]<>#$~|!&^]|(?<![^\W_])_|_(?![^\W_])|:(?=[A-Za-z])")
LINE_MARKS = re.compile(r"^(\s*\d*)([-+=.)])", re.MULTILINE)
# Streamlit replaces emoji, icons, links and arrows after it has read the Markdown and its escapes
LATER_MARKS = re.compile(
    r":(?=[\w+-]+[:/])|:(?=//)|@|www(?=\.)|(?<!\S)(?:\\[<>~]|-)(?=(?:-\\>|\\>|-|=)(?!\S))",
    re.IGNORECASE,
)
ARGUMENT = re.compile(r"\\`((?:\\_|\w)+)\\`")  # of a message, after escaping
JOINER = "\u2060"  # has no width


def literal(text: object) -> str:
    """A text as Markdown that shows exactly its characters."""
    escaped = LINE_MARKS.sub(r"\1\\\2", MARKS.sub(r"\\\g<0>", str(text)))
    return LATER_MARKS.sub(rf"\g<0>{JOINER}", escaped)


def message(text: object) -> str:
    """The message of an `InputError` as Markdown: only arguments in backticks become code."""
    return ARGUMENT.sub(lambda found: "`" + found[1].replace("\\", "") + "`", literal(text))


def plotly(text: object) -> str:
    """A text for a figure, which would read tags and, between two ``$``, formulas."""
    return html.escape(str(text), quote=False).replace("$", "&#36;")
