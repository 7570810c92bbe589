"""Did a network learn its video's CLIP embeddings? Guesses to beat, measures, tests, a verdict.

`gather` the evidence of a checkpoint, `verify` it, `write_verification`.
"""

from nerv_clip.verification.evidence import Evidence, gather
from nerv_clip.verification.html_report import page
from nerv_clip.verification.json_report import plain, remember, write_verification
from nerv_clip.verification.text_report import summary
from nerv_clip.verification.verify import STEPS, Verification, verify

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
