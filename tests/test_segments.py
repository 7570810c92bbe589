"""A video with cuts, or a long one, is drawn by several networks that act as one."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nerv_clip import InputError, ModelConfig, TrainConfig, VideoNetwork, load_model, solve_video
from nerv_clip.models.checkpoint import export_model, load_checkpoint
from nerv_clip.models.nerv_clip import NeRVClip
from nerv_clip.models.segments import Segment, VideoArchitecture
from nerv_clip.models.sharing import LEAST_SIZE, divide
from nerv_clip.models.temporal import FrameTable, ShotIndex, TemporalGrid, share_steps
from nerv_clip.training.builder import build_network, build_video_network
from nerv_clip.training.segments import SegmentTraining
from nerv_clip.training.trainer import Trainer
from nerv_clip.video.shots import Shots
from nerv_clip.video.split import split_frames, train_indices
from nerv_clip.video.times import frame_time
from nerv_clip.video.video import Video, load_video
from tests.test_training import same

F64 = torch.float64
RULE = "2_2_3"
SHOTS = Shots(12, (0, 5, 6))
MODEL = ModelConfig(modelsize=0.3, lower_width=4)
SHORT = TrainConfig(epochs=2, pixel_loss_warmup_epochs=1, loss="L2")


@st.composite
def films(draw: st.DrawFn) -> Shots:
    lengths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=8))
    firsts = [sum(lengths[:i]) for i in range(len(lengths))]
    return Shots(sum(lengths), tuple(firsts))


@pytest.fixture
def film(video_file: Path) -> Video:
    video = load_video(video_file)
    video.shots = SHOTS
    return video


def architecture(
    shots: Shots, rule: str = RULE, size: tuple[int, int] = (48, 80), **changes: object
) -> VideoArchitecture:
    model = dataclasses.replace(MODEL, **changes)  # type: ignore[arg-type]
    split = split_frames(shots.frames, rule, shots=shots)
    return solve_video(model, shots, train_indices(split), *size)


def training(
    video: Video, model: ModelConfig = MODEL, true: Tensor | None = None
) -> SegmentTraining:
    split = split_frames(len(video), RULE, shots=video.shots)
    train = train_indices(split)
    arch = solve_video(model, video.shots, train, video.height, video.width)
    torch.manual_seed(1)
    network = build_video_network(arch, split, true_embeddings=true)
    return SegmentTraining(network, video, split, SHORT, true)


@given(
    films(),
    st.integers(0, 50),
    st.floats(0.05, 3, allow_subnormal=False),
    st.sampled_from(["1_1_2", "3_3_4", "1_1_30"]),
)
def test_segments_cover_every_frame_once_and_share_the_size(
    shots: Shots, most: int, size: float, rule: str
) -> None:
    train = train_indices(split_frames(shots.frames, rule, shots=shots))
    parts = divide(shots, train, size, most)
    assert [part.first for part in parts] == [0, *(part.after for part in parts[:-1])]
    assert parts[-1].after == shots.frames
    assert sum(part.size for part in parts) == pytest.approx(size)
    for part in parts:
        assert any(part.first <= i < part.after for i in train)
        assert len(parts) == 1 or part.size >= LEAST_SIZE
        cut = part.after == shots.frames or part.after in shots.firsts
        assert part.seen == part.after if cut else part.seen - 1 in train or part.seen == part.after
        assert all(shots.of(i) == shots.of(part.after - 1) for i in range(part.after, part.seen))


def test_a_short_video_of_one_shot_is_one_segment() -> None:
    assert len(architecture(Shots(600), modelsize=2.0).segments) == 1
    assert len(architecture(Shots(601), modelsize=2.0).segments) == 2


@given(films())
@settings(max_examples=12)
def test_each_frame_is_drawn_at_the_time_that_its_network_was_trained_on(shots: Shots) -> None:
    split = split_frames(shots.frames, "3_3_4", shots=shots)
    arch = solve_video(MODEL, shots, train_indices(split), 24, 40)
    network = VideoNetwork(arch, [])
    times = [frame_time(i, shots.frames) for i in range(shots.frames)]
    place = network.place(torch.tensor(times, dtype=F64))
    for frame, number in enumerate(place.segment.tolist()):
        segment = arch.segments[number]
        assert segment.first <= frame < segment.first + segment.frames
        own = frame_time(frame - segment.first, segment.network.frames)
        assert place.t[frame].item() == own


@given(films(), st.floats(0, 1, allow_subnormal=False))
def test_a_time_between_two_shots_is_that_of_the_nearer_frame(shots: Shots, t: float) -> None:
    whole = architecture(Shots(12)).first
    segment = Segment(
        first=0, frames=shots.frames, network=dataclasses.replace(whole, frames=shots.frames)
    )
    arch = VideoArchitecture(
        frames=shots.frames, height=48, width=80, shots=shots.firsts, segments=(segment,)
    )
    position = VideoNetwork(arch, []).place(torch.tensor([t], dtype=F64)).t.item()
    position *= max(shots.frames - 1, 1)
    before = int(position + 1e-6)
    assert shots.of(before) == shots.of(min(int(position + 1 - 1e-6), shots.frames - 1))
    assert abs(position - t * (shots.frames - 1)) <= 0.5 + 1e-6


@given(films(), st.integers(2, 30))
def test_grid_and_table_use_steps_of_the_same_shot_only(shots: Shots, steps: int) -> None:
    index = ShotIndex(shots.frames, shots.firsts[1:])
    steps = max(steps, sum(min(len(shot), 2) for shot in shots.ranges()))
    grid = TemporalGrid(steps=steps, channels=1, grid=(1, 1), shots=index)
    times = torch.tensor([frame_time(i, shots.frames) for i in range(shots.frames)], dtype=F64)
    entries = [shot.start for shot in shots.ranges()] + [shot.stop - 1 for shot in shots.ranges()]
    entries = sorted(set(entries))
    table = FrameTable(steps=len(entries), shape=(1,), shots=index)
    table.fill(times[entries], index.of(times[entries])[:, None].float())
    torch.testing.assert_close(table(times)[:, 0], index.of(times).float())
    # a grid whose steps hold the number of their shot gives that number at every frame of it
    owners = [
        shot for shot, own in enumerate(share_steps(steps, index.lengths)) for _ in range(own)
    ]
    with torch.no_grad():
        grid.values.copy_(torch.tensor(owners)[:, None, None, None])
        torch.testing.assert_close(grid(times).flatten()[::1], index.of(times).float())


def test_a_video_of_segments_draws_what_its_networks_draw(tmp_path: Path) -> None:
    arch = architecture(SHOTS, predict_clip=True, clip_dim=16)
    assert len(arch.segments) == 2
    split = split_frames(12, RULE, shots=SHOTS)
    model = build_video_network(arch, split).eval()
    export_model(model, tmp_path / "m.pth", {})
    loaded = load_model(tmp_path / "m.pth")
    assert loaded.arch == arch
    order = torch.tensor([7, 2, 11, 0, 5, 6])
    t = torch.tensor([frame_time(int(i), 12) for i in order], dtype=F64)
    with torch.no_grad():
        output = loaded(t)
        for row, frame in enumerate(order.tolist()):
            segment = next(s for s in reversed(arch.segments) if s.first <= frame)
            network = model.networks[arch.segments.index(segment)]
            local = frame_time(frame - segment.first, segment.network.frames)
            alone = network(torch.tensor([local], dtype=F64))
            torch.testing.assert_close(output.frames[row], alone.frames[0])
            torch.testing.assert_close(output.features[row], alone.features[0])
            assert alone.embedding is not None
            assert output.embedding is not None
            torch.testing.assert_close(output.embedding[row], alone.embedding[0])
            torch.testing.assert_close(loaded.embed(t)[row], alone.embedding[0])


def test_one_shot_gives_the_bits_of_the_trainer_of_one_network(video_file: Path) -> None:
    video = load_video(video_file)
    split = split_frames(12, RULE)
    whole = training(video)
    (arch,) = (segment.network for segment in whole.model.arch.segments)
    torch.manual_seed(1)
    alone = Trainer(build_network(arch, split), video, split, SHORT)
    results = list(whole.fit()), list(alone.fit())
    assert [r.losses for r in results[0]] == [r.losses for r in results[1]]
    assert same(whole.model.networks[0].state_dict(), alone.model.state_dict())


@pytest.mark.parametrize("change", [{}, {"enc_strds": (2, 2), "enc_dim": (8, 4), "embed": ""}])
def test_segments_resume_with_the_same_bits_on_one_thread_and_on_two(
    film: Video, change: dict[str, object]
) -> None:
    model = dataclasses.replace(MODEL, **change)  # type: ignore[arg-type]
    whole, first, second = (training(film, model) for _ in range(3))
    assert len(whole.trainers) == 2
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        results = list(whole.fit())
        torch.set_num_threads(1)
        stops = iter([False, True])
        assert list(first.fit(stop=lambda: next(stops, True))) == []
        second.restore(first.state())
        assert second.step >= 1
        resumed = list(second.fit())
    finally:
        torch.set_num_threads(threads)
    assert [result.epoch for result in resumed] == [1, 2]
    for expected, result in zip(results, resumed, strict=True):
        assert result.losses == expected.losses
        assert result.psnr == expected.psnr
    assert same(whole.averaged().state_dict(), second.averaged().state_dict())


def test_segments_learn_their_own_embeddings(film: Video) -> None:
    generator = torch.Generator().manual_seed(0)
    true = torch.nn.functional.normalize(torch.randn(12, 16, generator=generator), dim=1)
    model = dataclasses.replace(MODEL, clip_input=True, clip_dim=16)
    train = train_indices(split_frames(12, RULE, shots=SHOTS))
    whole = training(film, model, true).model
    assert len(whole.networks) == 2
    for segment, network in zip(whole.arch.segments, whole.networks, strict=True):
        assert network.table is not None
        own = [i for i in train if i in segment.seen]
        torch.testing.assert_close(network.table.values[:, :, 0, 0], true[own])


def test_the_following_frame_is_one_of_the_same_shot(film: Video) -> None:
    split = split_frames(12, "1_1_1", shots=SHOTS)
    arch = solve_video(dataclasses.replace(MODEL, modelsize=0.1), SHOTS, range(12), 48, 80)
    data = Trainer(build_network(arch.first, split), film, split, SHORT).data
    assert data.around([0, 4, 5, 6, 11]) == ([0, 4, 5, 6, 11], [1, 4, 5, 7, 11])


def test_a_nan_in_one_segment_ends_the_training_with_one_line(film: Video) -> None:
    broken = training(film)
    with torch.no_grad():
        next(iter(broken.trainers[1].model.parameters())).fill_(torch.nan)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(InputError, match="NaN or infinite"):
            list(broken.fit())
    finally:
        torch.set_num_threads(threads)


def test_damaged_segments_are_one_line(tmp_path: Path) -> None:
    arch = architecture(SHOTS)
    model = VideoNetwork(arch, [NeRVClip(s.network, with_encoder=False) for s in arch.segments])
    export_model(model, tmp_path / "m.pth", {})
    content = load_checkpoint(tmp_path / "m.pth")
    first, second = content["architecture"]["segments"]
    changes: dict[str, dict[str, object]] = {
        "no segment": {"segments": []},
        "one missing": {"segments": [first]},
        "other order": {"segments": [second, first]},
        "gap": {"segments": [{**first, "frames": 4}, second]},
        "beyond the end": {"segments": [first, {**second, "frames": 99}]},
        "foreign shots": {"shots": [0, 3]},
        "shots out of order": {"shots": [0, 6, 5]},
        "no first shot": {"shots": [5, 6]},
        "many frames": {"frames": 10**9},
        "frame size": {"height": 24},
        "text": {"segments": "both"},
    }
    for name, change in changes.items():
        damaged = {**content, "architecture": {**content["architecture"], **change}}
        torch.save(damaged, tmp_path / "d.pth")
        with pytest.raises(InputError) as caught:
            load_model(tmp_path / "d.pth")
        assert "\n" not in str(caught.value), name
    torch.save({**content, "weights": content["weights"][:1]}, tmp_path / "d.pth")
    with pytest.raises(InputError, match="do not fit"):
        load_model(tmp_path / "d.pth")
