"""How a script ends: an `InputError` as one line in terms of flags, and its exit code."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from nerv_clip.cli.terminal import show_any_text
from nerv_clip.errors import InputError

# Arguments of the core whose flag of train_nerv_clip.py has another name than `--argument`.
TRAINING_FLAGS = {
    "out": "--outf",
    "evaluate": "--eval_only",
    "resume=False": "--not_resume",
    "path": "--data_path",
    "crop": "--crop_list",
    "resize": "--resize_list",
    "start": "--vid_start",
    "end": "--vid_end",
    "step": "--vid_step",
    "video": "--data_path, its crop, size or range",
    "teacher": "--clip_model or --clip_pretrained",
    "network": "the network (solved by another version)",
    "processes": "--nproc_per_node",
    "batch": "--batchSize",
    "seed": "--manualSeed",
    "grid": "--fc_hw",
    "grids": "--t_grids",
    "motion": "--motion_weight",
}


def with_flags(message: str, flags: Mapping[str, str] = TRAINING_FLAGS) -> str:
    """A message of the core with its arguments, which stand in backticks, replaced by flags.

    >>> with_flags("`crop` 0_9: both sides must be at least 1; `reduce` is not in question")
    '--crop_list 0_9: both sides must be at least 1; --reduce is not in question'
    """
    return re.sub(r"`([\w=]+)`", lambda found: flags.get(found[1], f"--{found[1]}"), message)


def main_guard(
    main: Callable[[list[str]], None], flags: Mapping[str, str] = TRAINING_FLAGS
) -> NoReturn:
    """Run a script's ``main`` on the command line's arguments, then exit.

    An `InputError` is printed as one line, with exit code 2; an interruption exits with 130.
    """
    show_any_text()
    try:
        main(sys.argv[1:])
    except InputError as error:
        print(f"{Path(sys.argv[0]).name}: {with_flags(str(error), flags)}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # such as `| head`: the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except KeyboardInterrupt:
        print("interrupted: the same command resumes from what was saved", file=sys.stderr)
        sys.exit(130)
    sys.exit(0)
