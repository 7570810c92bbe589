"""Did a network learn its video's CLIP embeddings? Guesses to beat, measures, tests, a verdict.

`gather` the evidence of a checkpoint, `verify` it, `write_verification`.
"""

from nerv_clip.verification.evidence import Evidence, gather
from nerv_clip.verification.page import page
from nerv_clip.verification.report import plain, remember, write_verification
from nerv_clip.verification.verify import STEPS, Verification, verify
from nerv_clip.verification.words import summary

__all__ = [
    "STEPS",
    "Evidence",
    "Verification",
    "gather",
    "page",
    "plain",
    "remember",
    "summary",
    "verify",
    "write_verification",
]
