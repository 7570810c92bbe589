"""Videos as people have them: each kind of the zoo in ``bench/`` is read as it was made."""

from __future__ import annotations

from pathlib import Path

import pytest
from video_zoo import KINDS, Kind, check


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_video_is_read_as_it_was_made_or_refused(tmp_path: Path, kind: Kind) -> None:
    assert check(kind, tmp_path).wrong == []
