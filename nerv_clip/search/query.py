"""What is asked: texts with weights, some negated, as vectors of the teacher's space."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from nerv_clip.errors import InputError
from nerv_clip.teacher.encoder import ClipEncoder

TEMPLATES = ("{}", "a photo of {}", "a picture of {}", "a video frame of {}")


class Term(NamedTuple):
    """A text with its weight; ``negated`` asks for its absence."""

    text: str
    weight: float
    negated: bool


def parse_query(query: str) -> tuple[Term, ...]:
    """``"a red mug -green apple^0.5"``: terms begin at a word after ``-`` or ``+``.

    ``^`` and a number at a term's end is its weight, 1 by default. Raises `InputError` for an
    empty query, for a weight that is no positive number, and where all is negated.

    >>> parse_query("a red mug -apple^0.5")[1]
    Term(text='apple', weight=0.5, negated=True)
    """
    parts = re.split(r"(?:^|(?<=\s))([+-])(?=\S)", query)
    signed = [("+", parts[0]), *zip(parts[1::2], parts[2::2], strict=True)]
    terms = [_term(text.strip(), sign == "-") for sign, text in signed if text.strip()]
    if not any(not term.negated for term in terms):
        raise InputError(
            f"the query {query!r} asks for nothing: say what should be there, such as 'mug -apple'"
        )
    return tuple(terms)


def _term(text: str, negated: bool) -> Term:
    words, _, weight = text.partition("^")
    if not words.strip() or ("^" in text and not re.fullmatch(r"\d*\.?\d+", weight)):
        raise InputError(f"{text!r}: give a text, and after ^ a weight such as 0.5")
    if "^" in text and float(weight) == 0:
        raise InputError(f"{text!r}: a weight of 0 asks for nothing")
    return Term(words.strip(), float(weight) if weight else 1.0, negated)


def text_vector(encoder: ClipEncoder, text: str) -> NDArray[np.float32]:
    """A text's unit embedding (dim,), averaged over the `TEMPLATES` that the encoder knows.

    Prompt ensembling as in CLIP (Radford et al., 2021).
    """
    known = [t for t in TEMPLATES if not encoder.unknown(t.format(""))]
    vectors = encoder.texts([template.format(text) for template in known])
    return np.asarray(torch.nn.functional.normalize(vectors.mean(0), dim=0).cpu().numpy())
