"""Find moments of trained runs by text, image or similarity: one call."""

from __future__ import annotations

from nerv_clip.cli import main_guard
from nerv_clip.cli.search import search as main

if __name__ == "__main__":
    main_guard(main, {})
