"""The rendered kitchen: reproducible from its seed, with labels that agree with the pictures."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nerv_clip import InputError, VideoSpec, load_video
from nerv_clip.demo import read_labels, tracer, write_kitchen
from nerv_clip.demo.facts import FACTS, ambiguous_facts, facts_of, label
from nerv_clip.demo.pool import render_pool, render_shard, shard_paths
from nerv_clip.demo.scene import COLOURS, Hand, Item, Light, Scene
from nerv_clip.demo.shading import picture, render
from nerv_clip.demo.shapes import KINDS
from nerv_clip.demo.story import make_story
from nerv_clip.demo.tracer import trace
from nerv_clip.demo.workers import workers

pytest.importorskip("embreex", reason="embreex is not installed (no wheel for Linux on ARM)")


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small kitchen: 60 frames of 36x64."""
    out = tmp_path_factory.mktemp("data") / "Kitchen"
    write_kitchen(out, 3, 60, (36, 64), 1, masks=True)
    return out


def test_same_seed_renders_the_same_files(kitchen: Path, tmp_path: Path) -> None:
    write_kitchen(tmp_path / "again", 3, 60, (36, 64), 1, masks=True)
    names = sorted(file.name for file in kitchen.iterdir())
    assert names == sorted(file.name for file in (tmp_path / "again").iterdir())
    assert len(names) == 62
    for name in names:
        assert (kitchen / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    other = render(make_story(4, 60).scene(10), 36, 64, 1)
    assert (other != np.asarray(Image.open(kitchen / "0010.png"))).mean() > 0.5


def test_kitchen_is_read_as_a_video(kitchen: Path) -> None:
    video = load_video(VideoSpec(kitchen))
    assert (len(video), video.height, video.width) == (60, 36, 64)
    assert len(read_labels(kitchen / "labels.json")) == 60


def test_masks_lie_in_the_boxes_of_the_labels(kitchen: Path) -> None:
    masks = np.load(kitchen / "masks.npz")["masks"]
    labels = read_labels(kitchen / "labels.json")
    assert masks.shape == (60, 36, 64)
    assert max(len(frame.objects) for frame in labels) > 1
    for mask, frame in zip(masks, labels, strict=True):
        assert set(np.unique(mask)) == {*range(len(frame.objects) + 1)}
        for number, thing in enumerate(frame.objects, start=1):
            rows, columns = np.nonzero(mask == number)
            box = (columns.min(), rows.min(), columns.max(), rows.max())
            assert box == thing.box  # with one ray a pixel, a pixel has one owner
            assert (mask == number).mean() == pytest.approx(thing.area, abs=1e-4)


def test_labels_agree_with_the_scene(kitchen: Path) -> None:
    content = json.loads((kitchen / "labels.json").read_text())
    assert content["seed"] == 3
    assert len({event["name"] for event in content["events"]}) >= 8
    story = make_story(3, 60)
    for frame in content["frames"]:
        scene = story.scene(frame["frame"])
        there = {(item.kind, item.colour) for item in scene.items}
        assert {(o["kind"], o["colour"]) for o in frame["objects"]} <= there
        for thing in frame["objects"]:
            left, top, right, bottom = thing["box"]
            assert 0 <= left <= right < 64
            assert 0 <= top <= bottom < 36
        assert (frame["outside"] == "night") == (scene.light.day < 0.5)
        assert (frame["lights"] == "on") == (scene.light.lamp >= 0.5)
        assert ("tap on" in frame["actions"]) == (scene.tap >= 0.3)
        for name in frame["events"]:
            spans = [e for e in content["events"] if e["name"] == name]
            assert any(e["start"] <= frame["frame"] < e["end"] for e in spans)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 999_999), frames=st.sampled_from([60, 240, 300, 431]))
def test_every_story_has_events_and_changes(seed: int, frames: int) -> None:
    """At least eight events; nothing stays unchanged for more than a third of the video."""
    story = make_story(seed, frames)
    assert len({event.name for event in story.events()}) >= 8
    for name in ("tap", "fridge", "fire", "steam", "lamp", "day"):
        spans = story.active[name]
        edges = [0, *(edge for span in spans for edge in span), frames]
        assert edges == sorted(edges)
        assert max(np.diff(edges)) <= frames / 3
    for visit in story.visits:
        assert min(visit.end, frames) - max(visit.start, 0) <= frames / 3


def test_boxes_contain_the_colour_of_their_object() -> None:
    """Red pixels lie in the box of the red mug, and 40 % of the box is red."""
    scene = Scene((Item("mug", "red", -0.3, 0.0), Item("plate", "blue", 0.5, 0.0)))
    traced = trace(scene, 90, 160, 4)
    pixels = picture(traced, scene).astype(int)
    seen = {o.kind: o for o in label(scene, traced.owner_map).objects}
    assert set(seen) == {"mug", "plate"}
    for kind, channel in (("mug", 0), ("plate", 2)):
        other = 2 - channel
        strong = pixels[..., channel] > pixels[..., [1, other]].max(2) + 60
        left, top, right, bottom = seen[kind].box
        inside = np.zeros_like(strong)
        inside[top : bottom + 1, left : right + 1] = True
        assert strong[inside].mean() > 0.4
        assert strong[inside].sum() > 0.9 * strong[20:].sum()  # the sky above is blue too


def test_hidden_objects_are_not_labelled() -> None:
    """A bottle behind the fridge is in the scene but not in the picture."""
    scene = Scene((Item("bottle", "red", -1.4, 0.6), Item("apple", "green", 0.2, 0.0)))
    traced = trace(scene, 45, 80, 4)
    assert {o.kind for o in label(scene, traced.owner_map).objects} == {"apple"}


def test_each_state_changes_its_part_of_the_picture() -> None:
    """Tap, stove, fridge, steam and light are visible, each in its own part of the picture."""
    kettle = Item("kettle", "red", 0.3, 0.0)
    base = Scene((kettle,), light=Light(lamp=0.0, day=1.0))
    plain = render(base, 45, 80, 4).astype(int)
    middle = {}
    for name in ("tap", "fire", "fridge", "steam"):
        changed = render(replace(base, **{name: 1.0}), 45, 80, 4).astype(int)  # type: ignore[arg-type]
        where = np.abs(changed - plain).max(2) > 25
        assert where.sum() >= 8, name
        middle[name] = np.argwhere(where).mean(0)[1]
    assert middle["fridge"] < middle["tap"] < middle["steam"] < middle["fire"]
    night = render(replace(base, light=Light(lamp=0.0, day=0.0)), 45, 80, 4).mean()
    lamp = render(replace(base, light=Light(lamp=1.0, day=0.0)), 45, 80, 4).mean()
    assert night + 20 < lamp < plain.mean()


def test_objects_cast_shadows_and_hide_each_other() -> None:
    empty = Scene(light=Light(lamp=0.0, day=1.0))
    apple = replace(empty, items=(Item("apple", "red", 0.2, 0.0),))
    traced = trace(apple, 90, 160, 4)
    own = (traced.owner_map == 0).any(2)
    darker = render(empty, 90, 160, 4).astype(int) - picture(traced, apple).astype(int)
    assert (darker.min(2)[~own] > 8).sum() > 20  # the counter beside it, in every channel
    front = replace(apple, items=(*apple.items, Item("kettle", "blue", 0.2, -0.3)))
    behind = trace(front, 90, 160, 4).owner_map == 0
    assert behind.mean() < 0.5 * own.mean()


def test_facts_follow_from_labels() -> None:
    pan = Item("pan", "blue", 1.2, 0.62, 0.075)
    mugs = (Item("mug", "red", -0.6, 0.0), Item("mug", "red", -0.1, 0.0))
    scene = Scene((pan, *mugs), (Hand(-0.1, 0.0, 0.3, -0.3),), fire=1.0)
    traced = trace(scene, 90, 160, 4)
    true = facts_of(label(scene, traced.owner_map))
    assert {"two mug", "two red mug", "red mug", "hold red mug", "hand", "fire on"} <= true
    assert {"pan on fire", "blue pan on fire", "steam off", "day", "lights on"} <= true
    assert not {"hold pan", "blue mug", "night", "two pan"} & true
    assert true <= set(FACTS)
    assert len(FACTS) == len(set(FACTS))
    assert len(KINDS) >= 8
    assert len(COLOURS) >= 7


def test_only_facts_between_the_thresholds_are_ambiguous() -> None:
    items = (Item("mug", "red", -0.6, 0.0), Item("kettle", "blue", 0.5, 0.0))

    def ambiguous(**state: float) -> frozenset[str]:
        scene = Scene(items, (), **state)
        return ambiguous_facts(scene, trace(scene, 45, 80, 4).owner_map)

    assert ambiguous() == ambiguous(tap=1.0, fire=1.0) == frozenset()
    assert ambiguous(tap=0.2) == {"tap on", "tap off"}
    assert ambiguous(fire=0.4) == {"fire on", "fire off"}
    hidden = np.full((100, 100, 1), -1)
    hidden[:2, :5] = 0  # a tenth of a per cent of the mug
    assert ambiguous_facts(Scene(items, ()), hidden) == {"mug", "red mug", "red thing"}


def test_workers_stop_after_an_interruption() -> None:
    before = set(active_children())
    with pytest.raises(KeyboardInterrupt), workers() as pool:  # noqa: PT012
        job = pool.submit(time.sleep, 600)
        while not job.running():
            time.sleep(0.01)
        mine = set(active_children()) - before
        raise KeyboardInterrupt
    assert mine
    for child in mine:
        child.join(60)
        assert child.exitcode is not None


def test_kitchen_arguments_out_of_range_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`frames` 10 .* 60 frames or more"):
        write_kitchen(tmp_path / "a", 0, 10)
    with pytest.raises(InputError, match=r"`seed` -1 .* 0 to 999999"):
        write_kitchen(tmp_path / "a", -1, 60)
    with pytest.raises(InputError, match=r"`size` 15x27 .* 16 pixels"):
        write_kitchen(tmp_path / "a", 0, 60, (15, 27))
    for samples in (5, 0, -1):
        with pytest.raises(InputError, match=f"`samples` {samples}: .* rays a pixel"):
            write_kitchen(tmp_path / "a", 0, 60, samples=samples)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    with pytest.raises(InputError, match="holds files but no kitchen"):
        write_kitchen(tmp_path / "mine", 0, 60)
    assert (tmp_path / "mine" / "letter.txt").read_text() == "keep me"


def test_a_shard_that_two_builds_need_is_rendered_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (shard,) = shard_paths(tmp_path, 1, 0, 0)
    rendered = []

    def slowly(scene: Scene, *size: int) -> object:
        rendered.append(scene)
        time.sleep(0.1)
        return trace(scene, *size)

    monkeypatch.setattr("nerv_clip.demo.pool.trace", slowly)
    with ThreadPoolExecutor(2) as builds:
        list(builds.map(render_shard, [shard, shard]))
    assert len(rendered) == 1
    assert list(tmp_path.iterdir()) == [shard.path]


def test_rendering_without_embree_names_the_missing_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tracer, "find_spec", lambda name: None if name == "embreex" else object())
    tracer.require_renderer.cache_clear()
    for call in (
        lambda: write_kitchen(tmp_path / "a", 0, 60),
        lambda: render(Scene(), 36, 64, 1),
        lambda: list(render_pool(shard_paths(tmp_path / "pool", 1, 0, 0))),
    ):
        with pytest.raises(InputError, match=r"embreex, which is not installed") as error:
            call()
        assert "\n" not in str(error.value)
    assert not (tmp_path / "a").exists()
