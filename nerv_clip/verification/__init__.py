"""Does a network predict its video's CLIP embeddings better than baselines without a network?

`verify` compares a checkpoint with the baselines and gives a `Verdict`; `summary`, `to_html` and
`to_json` report it, `write_verification` and `store_in_run` write it to files. The modules, each
importing only those above it (and `nerv_clip.similarity`):

- ``names``: titles of measures and splits
- ``statistics``: effective sample size, block bootstrap, shift test
- ``tables``: stored tables of train embeddings, read between frames
- ``evidence``: true and predicted embeddings of a run
- ``baselines``: embeddings that the prediction is compared with
- ``measures``: scores of embeddings by split, with intervals
- ``verdict``: the rule
- ``verify``: everything above, in order
- ``text_report``, ``plots``, ``html_report``, ``json_report``: reports
"""

from nerv_clip.verification.evidence import Evidence, gather
from nerv_clip.verification.html_report import to_html
from nerv_clip.verification.json_report import store_in_run, to_json, write_verification
from nerv_clip.verification.text_report import summary
from nerv_clip.verification.verdict import Verdict
from nerv_clip.verification.verify import Verification, verify, verify_evidence

__all__ = [
    "Evidence",
    "Verdict",
    "Verification",
    "gather",
    "store_in_run",
    "summary",
    "to_html",
    "to_json",
    "verify",
    "verify_evidence",
    "write_verification",
]
