"""The parts of the small CLIP: vocabulary, captions, loss and training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.loss import ClipLoss
from PIL import Image
from sklearn.metrics import average_precision_score

from nerv_clip import ClipEncoder, InputError, load_clip_encoder
from nerv_clip.demo import EncoderRecipe, TrainingPlan, train_encoder
from nerv_clip.demo.batches import change_attribute, draw_batch
from nerv_clip.demo.captions import SYNONYMS, caption, query, words
from nerv_clip.demo.facts import FACT_INDEX, FACTS
from nerv_clip.demo.model_folder import new_model, save_weights, write_folder
from nerv_clip.demo.pool import Pool, load_pool, render_shard, shard_paths
from nerv_clip.demo.pretraining import Pretraining, contrastive_loss
from nerv_clip.demo.vocabulary import BPE, learn_merges
from nerv_clip.similarity import average_precision


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained encoder."""
    out = tmp_path_factory.mktemp("encoder")
    write_folder(out)
    return out


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    """Eighty pictures, half of them with a single object."""
    pytest.importorskip("embreex", reason="embreex is not installed (no wheel for Linux on ARM)")
    shards = shard_paths(tmp_path_factory.mktemp("pool"), 40, 40, 0)
    for shard in shards:
        render_shard(shard)
    return load_pool([shard.path for shard in shards])


def test_every_word_is_one_token(folder: Path) -> None:
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}", bpe_path=str(folder / BPE))
    for word in words():
        assert len(tokenizer.encode(word)) == 1, word
    assert len(tokenizer.encode("zebra")) > 1
    tokens = tokenizer(["a red mug"])[0]
    assert tokens.argmax() == 4  # open_clip finds the end token by its highest number


@given(st.sets(st.text("abcd", min_size=1, max_size=6), min_size=1, max_size=12))
def test_merges_produce_whole_words(vocabulary: set[str]) -> None:
    merges = learn_merges(vocabulary)
    assert len(merges) == len(set(merges))
    made = {left + right for left, right in merges}
    assert {f"{word}</w>" for word in vocabulary if len(word) > 1} <= made


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(FACTS), min_size=1, max_size=3), st.integers(0, 10**6))
def test_captions_use_only_words_of_the_vocabulary(chosen: list[str], seed: int) -> None:
    text = caption(chosen, np.random.default_rng(seed))
    known = frozenset(words())
    assert {w for w in text.replace(",", " ").replace("'", " ").split() if w not in known} == set()


def test_queries_and_synonyms_use_only_words_of_the_vocabulary(folder: Path) -> None:
    encoder = untrained(folder)
    for text in [*map(query, FACTS), *(text for row in SYNONYMS for text in row)]:
        assert encoder.unknown(text) == [], text


def test_error_names_unknown_words(folder: Path) -> None:
    encoder = untrained(folder)
    assert encoder.texts(["A red MUG."]).shape == (1, 512)
    with pytest.raises(InputError, match=r'not in the vocabulary of .*"unicorn", "zebra"'):
        encoder.texts(["a red mug", "a zebra and a unicorn"])
    with pytest.raises(InputError, match="the text is empty"):
        encoder.texts(["a red mug", "  "])


def test_folder_is_loaded_by_open_clip(folder: Path) -> None:
    untrained(folder)
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    wide = torch.zeros(3, 90, 160)
    wide[:, :, -20:] = 1  # outside a centre crop
    seen = transform(Image.fromarray((wide * 255).byte().permute(1, 2, 0).numpy()))
    assert seen.shape == (3, 96, 96)
    assert seen[0, 50, -5] > seen[0, 50, 5]
    assert model.encode_image(seen[None]).shape == (1, 512)


def test_captions_match_their_picture_and_hard_negatives_do_not(pool: Pool) -> None:
    batch = draw_batch(
        pool, pool, np.random.default_rng(0), size=32, single_share=0.5, hard_negative_share=1
    )
    assert batch.pictures.shape == (32, 3, 96, 96)
    assert batch.matches.shape == (32, len(batch.captions))
    extra = len(batch.captions) - 64
    assert extra > 16
    assert sum(bool(batch.matches[:, j].any()) for j in range(len(batch.captions))) >= 64
    plain = draw_batch(
        pool, pool, np.random.default_rng(0), size=32, single_share=0.5, hard_negative_share=0
    )
    assert plain.matches[range(32), range(32)].all()  # each picture's own caption
    assert len(batch.captions) > len(plain.captions) + 16
    rng = np.random.default_rng(1)
    for fact in FACTS:
        other = change_attribute(fact, rng)
        if other != fact and other in FACT_INDEX and fact.count(" ") == other.count(" "):
            differ = sum(a != b for a, b in zip(fact.split(), other.split(), strict=True))
            assert differ == 1


def test_loss_matches_clip_with_one_picture_for_each_caption() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (
        torch.nn.functional.normalize(torch.randn(8, 16, generator=generator), dim=1)
        for _ in range(2)
    )
    scale = torch.tensor(7.0)
    loss, _ = contrastive_loss(scale * a @ b.T, torch.eye(8, dtype=torch.bool))
    assert loss.item() == pytest.approx(ClipLoss()(a, b, scale).item(), abs=1e-5)


def test_pairs_that_are_true_by_chance_are_not_negatives() -> None:
    a = torch.eye(3, 4)
    matches = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    vectors = torch.stack([a[0] + a[1], a[0] + a[1], a[2]]) / torch.tensor(
        [[2**0.5], [2**0.5], [1]]
    )
    loss, accuracy = contrastive_loss(50.0 * vectors @ vectors.T, matches)
    assert loss < 1e-6
    assert accuracy == 1.0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.booleans()), min_size=2, max_size=40))
def test_average_precision_matches_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    score = np.array([value for value, _ in rows], float) + np.arange(len(rows)) / 1000  # no ties
    positive = np.array([flag for _, flag in rows])
    if not positive.any():
        with pytest.raises(ValueError, match="no positive"):
            average_precision(score, positive)
        return
    theirs = average_precision_score(positive, score)
    assert average_precision(score, positive) == pytest.approx(theirs)


def test_ties_count_as_found_last() -> None:
    assert average_precision(np.zeros(4), np.array([True, False, False, False])) == 0.25


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"singles": 0}, "singles"),
        ({"scenes": 0}, "scenes"),
        ({"tests": 40}, "tests"),
        ({"plan": TrainingPlan(seed=-1)}, "seed"),
        ({"plan": TrainingPlan(batch=0)}, "batch"),
    ],
)
def test_recipe_out_of_range_is_refused_before_rendering(
    tmp_path: Path, change: dict[str, Any], name: str
) -> None:
    with pytest.raises(InputError, match=f"`{name}` .* out of range"):
        train_encoder(EncoderRecipe(tmp_path / "out", tmp_path / "work", **change))
    assert not list(tmp_path.iterdir())


def test_resumed_training_is_bit_identical(folder: Path, pool: Pool) -> None:
    plan = TrainingPlan(steps=4, batch=8, warm_up=2)
    whole = Pretraining(folder, pool, pool, plan)
    losses = [result.loss for result in whole.fit()]
    first = Pretraining(folder, pool, pool, plan)
    stream = first.fit()
    assert [next(stream).loss, next(stream).loss] == losses[:2]
    second = Pretraining(folder, pool, pool, plan)
    second.restore(first.state())
    assert [result.loss for result in second.fit()] == losses[2:]
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_short_training_separates_day_and_night(folder: Path, pool: Pool) -> None:
    training = Pretraining(folder, pool, pool, TrainingPlan(steps=20, batch=32, warm_up=5, lr=2e-3))
    for _ in training.fit():
        pass
    encoder = untrained(folder)
    encoder.model.load_state_dict(training.model.state_dict())
    encoder.model.eval()
    pictures = encoder.images(torch.from_numpy(pool.pictures).permute(0, 3, 1, 2))
    day, night = (pictures @ encoder.texts(["it is day", "it is night"]).T).T
    positive = pool.facts[:, FACT_INDEX["day"]]
    assert average_precision((day - night).numpy(), positive) > 0.8  # chance: one half


def untrained(folder: Path) -> ClipEncoder:
    save_weights(new_model(folder), folder)
    return load_clip_encoder(f"local-dir:{folder}")
