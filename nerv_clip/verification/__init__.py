"""Did a network learn its video's CLIP embeddings? Baselines, measures, tests and a verdict.

`verify` a checkpoint, then `write_verification`.
"""

from nerv_clip.verification.evidence import Evidence, gather
from nerv_clip.verification.html_report import page
from nerv_clip.verification.json_report import store_in_run, to_json, write_verification
from nerv_clip.verification.text_report import summary
from nerv_clip.verification.verify import Verification, verify, verify_evidence

__all__ = [
    "Evidence",
    "Verification",
    "gather",
    "page",
    "store_in_run",
    "summary",
    "to_json",
    "verify",
    "verify_evidence",
    "write_verification",
]
