"""The command line. No other folder of nerv_clip imports it.

- ``parser``: the flags of training
- ``options``: flags as checked values
- ``messages``: errors in terms of flags, exit codes
- ``terminal``: progress bars and lines
- ``inputs``: load video and teacher
- ``commands``: train and evaluate
- ``search``: search runs
- ``forecast``: size, memory and time before training
- ``planning``: plan a training that ends in a given time, from measured ``rates``
- ``preview``: what a planned training will read
- ``demo_build``: everything in checkpoints/, from nothing
"""

from nerv_clip.cli.commands import run_command
from nerv_clip.cli.forecast import Estimate, estimate
from nerv_clip.cli.messages import main_guard, with_flags
from nerv_clip.cli.options import Options, parse
from nerv_clip.cli.parser import Parser
from nerv_clip.cli.preview import PlanPreview, preview_plan
from nerv_clip.cli.terminal import Terminal

__all__ = [
    "Estimate",
    "Options",
    "Parser",
    "PlanPreview",
    "Terminal",
    "estimate",
    "main_guard",
    "parse",
    "preview_plan",
    "run_command",
    "with_flags",
]
