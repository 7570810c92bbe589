"""Read the documents: their code blocks, links, headings, tables and prose."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCS = ROOT / "docs"
DOCUMENTS = [README, *sorted(DOCS.glob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NOT_RUN = re.compile(r"<!-- not run: (.+) -->\n\Z")


class Block(NamedTuple):
    """A fenced code block; ``reason`` says why it is not run, and is empty where it is."""

    language: str
    code: str
    reason: str


def blocks(document: Path) -> list[Block]:
    """The code blocks of a document, in order."""
    text = document.read_text()
    found = []
    for match in FENCE.finditer(text):
        marker = NOT_RUN.search(text[: match.start()])
        found.append(Block(match[1], match[2], marker[1] if marker else ""))
    return found


def commands(document: Path, *, run: bool = True) -> list[str]:
    """The lines of a document's bash blocks: those that are run, or those that are not."""
    return [
        line
        for block in blocks(document)
        if block.language == "bash" and bool(block.reason) != run
        for line in block.code.strip().splitlines()
    ]


def prose(document: Path) -> str:
    """A document without code blocks, inline code, comments, link targets and file names."""
    text = FENCE.sub("", document.read_text())
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"`[^`\n]*`", "", text)
    text = re.sub(r"\]\([^)\s]*\)", "]", text)
    return re.sub(r"[\w./-]+\.(md|py|txt|json|csv|html)\b", "", text)


def links(document: Path) -> list[str]:
    """The targets of a document's links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", document.read_text()))


def anchors(document: Path) -> set[str]:
    """The fragments that a document's headings have on GitHub."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", document.read_text()), re.MULTILINE)
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in kept}


def table(document: Path, heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its head, as cells."""
    text = document.read_text()
    start = re.search(rf"^#+ {re.escape(heading)}$", text, re.MULTILINE)
    assert start is not None, f"{document.name} has no heading {heading}"
    section = re.split(r"^#+ ", text[start.end() :], maxsplit=1, flags=re.MULTILINE)[0]
    rows: list[list[str]] = []
    for line in section.splitlines():
        if line.startswith("|"):
            rows.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
        elif rows:
            break
    return rows[2:]


def names(document: Path, heading: str) -> list[str]:
    """The names in code style in the first column of the table below a heading."""
    cells = [row[0] for row in table(document, heading)]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
