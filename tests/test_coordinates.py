"""Time and the split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nerv_clip.errors import InputError
from nerv_clip.video.split import split_frames
from nerv_clip.video.times import frame_time


def test_time_covers_the_closed_unit_interval() -> None:
    assert [frame_time(i, 5) for i in range(5)] == [0, 0.25, 0.5, 0.75, 1]
    assert frame_time(0, 1) == 0


@given(st.integers(1, 60), st.integers(1, 7), st.integers(0, 5), st.integers(0, 5))
def test_split_is_hnerv_s_rule(frames: int, a: int, more: int, rest: int) -> None:
    b, c = a + more, a + more + rest
    split = split_frames(frames, f"{a}_{b}_{c}")
    for i, name in enumerate(split):
        place = i % c
        assert name == ("train" if place < a else "val" if place >= b else "unused")


def test_shuffled_split_keeps_the_shares_and_is_fixed() -> None:
    plain, shuffled = split_frames(40, "2_3_4"), split_frames(40, "2_3_4", shuffle=True)
    assert sorted(plain) == sorted(shuffled)
    assert plain != shuffled
    assert shuffled == split_frames(40, "2_3_4", shuffle=True)


@pytest.mark.parametrize("rule", ["0_1_2", "1_2", "a_b_c", "3_2_4", "1_1_0"])
def test_a_split_that_cannot_train_is_refused(rule: str) -> None:
    with pytest.raises(InputError, match="--data_split"):
        split_frames(10, rule)
