"""Lists of hits as text, JSON, CSV, and as an edit decision list (EDL) for video editors."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pandas as pd

from nerv_clip.errors import InputError
from nerv_clip.search.library import Hit
from nerv_clip.search.places import Region


def as_text(hits: Sequence[Hit]) -> str:
    """A line for each hit, below its query.

    Beside the query: how it is read, unless that is as one text, and the teacher where there are
    several.
    """
    lines = []
    several = len({hit.teacher for hit in hits}) > 1
    for question, teacher in dict.fromkeys((hit.question, hit.teacher) for hit in hits):
        found = [hit for hit in hits if (hit.question, hit.teacher) == (question, teacher)]
        title = question + read_as(found[0].question, found[0].reading)
        title += f" (teacher {teacher})" if several else ""
        matched = any(hit.match for hit in found)
        lines.append(f"{title}:" if matched else f"{title}: no clear match; nearest moments:")
        lines += [_line(hit) for hit in found]
    return "\n".join(lines)


def read_as(question: str, reading: str) -> str:
    """The reading of a question, in parentheses; empty where it adds nothing."""
    return "" if reading.strip('"') == question.strip() else f" (read as {reading})"


def _line(hit: Hit) -> str:
    m = hit.moment
    true = "" if m.true_relevancy is None else f" (true embedding {m.true_relevancy:.2f})"
    place = "" if m.where is None else f" at pixel ({m.where.x:.0f}, {m.where.y:.0f})"
    frame = f"frame {m.frame}{' (held out)' if m.held_out else ''}{place}"
    return (
        f"  {m.start_seconds:8.2f} – {m.end_seconds:.2f} s, best at {m.peak_seconds:.2f} s, "
        f"{frame}: relevancy {m.relevancy:.2f}{true}, "
        f"{hit.run}{'' if hit.match else ' (no clear match)'}"
    )


def _fields(hit: Hit) -> dict[str, object]:
    """The fields of a hit and of its moment, as JSON values."""
    fields = {**hit._asdict(), "run": str(hit.run), "fps": round(hit.fps, 6)}
    moment = hit.moment._asdict()
    where = moment.pop("where")
    place = {
        name: None if where is None else round(getattr(where, name), 1) for name in Region._fields
    }
    del fields["moment"]
    return {**fields, **moment, **place}


def as_json(hits: Sequence[Hit]) -> str:
    """A JSON list of objects with the fields of `Hit` and of its `Moment`."""
    return json.dumps([_fields(hit) for hit in hits], indent=2)


def as_csv(hits: Sequence[Hit]) -> str:
    """A CSV table with the same fields as `as_json`."""
    return pd.DataFrame([_fields(hit) for hit in hits]).to_csv(index=False)


def as_edl(hits: Sequence[Hit], title: str = "NeRV-CLIP") -> str:
    """A CMX 3600 edit decision list of the clear matches, one after another.

    Timecodes are non-drop: they count the frames of the source from 0, at its rate rounded to
    whole frames per second. The record side starts at one hour, the convention in video editing.
    Raises `InputError` for hits of different frame rates.
    """
    rates = {max(1, round(hit.fps)) for hit in hits}
    if len(rates) > 1:
        raise InputError(
            f"an EDL has one frame rate, but these runs have {sorted(rates)}: search the runs one "
            "by one"
        )
    rate = rates.pop() if rates else 1
    lines = [f"TITLE: {title}", "FCM: NON-DROP FRAME", ""]
    record = 3600 * rate
    for number, hit in enumerate((hit for hit in hits if hit.match), start=1):
        first = round(hit.moment.start_seconds * hit.fps)
        length = max(1, round(hit.moment.end_seconds * hit.fps) - first + 1)
        codes = (first, first + length, record, record + length)
        lines += [
            f"{number:03d}  AX       V     C        {' '.join(_timecode(c, rate) for c in codes)}",
            f"* FROM CLIP NAME: {hit.run.name}",
            f"* COMMENT: {hit.question} (relevancy {hit.moment.relevancy:.2f})",
            "",
        ]
        record += length
    return "\n".join(lines)


def _timecode(frames: int, rate: int) -> str:
    seconds, rest = divmod(frames, rate)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}:{rest:02d}"
