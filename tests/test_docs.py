"""The documents agree with the code, their links work, and their language is plain."""

from __future__ import annotations

import json
import re
import tomllib
from argparse import Action
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import nerv_clip
from nerv_clip import Architecture, EpochResult, ModelConfig, Run, RunConfig, TrainConfig
from nerv_clip.cli.parser import build_parser
from nerv_clip.evaluation.results import COLUMNS, Metrics, SplitMetrics
from nerv_clip.models.segments import MAX_SEGMENTS, Segment, VideoArchitecture
from nerv_clip.runs.budget import Budget
from nerv_clip.runs.config import (
    FORMAT,
    ParameterCounts,
    SplitRecord,
    TeacherRecord,
    VideoRecord,
)
from nerv_clip.runs.run import TrainingStatus
from nerv_clip.training.losses import PIXEL_LOSSES
from nerv_clip.training.objectives import OBJECTIVES
from nerv_clip.training.presets import PRESETS
from tests.documents import (
    DOCS,
    DOCUMENTS,
    README,
    ROOT,
    anchors,
    links,
    names,
    prose,
    table,
)

RUN_DIRECTORY, TRAINING = DOCS / "run_directory.md", DOCS / "training.md"
ARCHITECTURE = DOCS / "architecture.md"
SECTIONS = {  # of config.json
    "`video`": VideoRecord,
    "`split`": SplitRecord,
    "`teacher`": TeacherRecord,
    "`model`": ModelConfig,
    "`train`": TrainConfig,
    "`architecture`": VideoArchitecture,
    "`segments`": Segment,
    "`network`": Architecture,
    "`parameters`": ParameterCounts,
    "`budget`": Budget,
}
# Words that give data a mind, or that a reader has to guess at, and the terms to use instead.
BANNED = {
    r"clips?": "video",
    r"figures?": "metrics, results, or numbers",
    r"guess(es|ed)?": "baseline",
    r"likeness|alike": "similarity, similar",
    r"(is|are|was|were|be) told": "printed",
    r"knows?|asks?|says?|hears?|forgets?|speaks? of": "a verb for data: holds, needs, contains",
    r"notices?": "message, progress",
    r"clever|cleverer": "a naive baseline",
    r"one screen": "a number of lines",
    r"thin": "what the module does",
    r"arcs?": "spherical interpolation, slerp",
    r"dearer|cheaper": "slower, faster",
    r"what an? \w+ has": "a noun",
    r"the lead|leads": "margin",
    r"faded|judged": "blended; evaluated",
    r"its own answers": "noise ceiling",
    r"of its part|to that at": "weight relative to",
    r"worth": "effective sample size, or value",
}


def test_readme_is_short() -> None:
    text = README.read_text()
    assert len(text.splitlines()) <= 120
    assert len(text.split()) <= 1000


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_document_has_links(document: Path) -> None:
    assert links(document)


LINKING = [*DOCUMENTS, *ROOT.glob("bench/**/*.md"), *ROOT.glob("checkpoints/*/README.md")]


@pytest.mark.parametrize("document", LINKING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_anchors_exist(document: Path) -> None:
    for link in links(document):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = document.parent / path if path else document
        assert target.exists(), f"{document.name}: {link}"
        if anchor:
            assert anchor in anchors(target), f"{document.name}: {link}"


def test_readme_links_every_document() -> None:
    linked = {link for link in links(README) if link.startswith("docs/")}
    assert {f"docs/{path.name}" for path in DOCS.glob("*.md")} <= linked


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_language_is_plain(document: Path) -> None:
    text = prose(document)
    for pattern, better in BANNED.items():
        found = re.search(rf".{{0,40}}\b({pattern})\b.{{0,40}}", text)
        assert found is None, f"{document.name}: '{found[0]}': use {better}"


def test_banned_words_are_found_in_prose_and_not_in_code(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("`--clip VIDEO`, [clip.md](clip.md)\n\n```bash\nclip\n```\n")
    assert "clip" not in prose(document)
    document.write_text("the parameters of the clip are told before the start")
    assert "clip" in prose(document)


def test_every_file_of_a_run_is_documented() -> None:
    run = Run(Path("run"))
    paths = [path for path in vars(run).values() if isinstance(path, Path) and path != run.path]
    files = {path.relative_to(run.path).as_posix() for path in paths}
    assert set(names_of_first_column(RUN_DIRECTORY, "Files")) == files | {".lock"}


def test_every_field_of_config_json_is_documented() -> None:
    assert names(RUN_DIRECTORY, "config.json") == ["format", *(f.name for f in fields(RunConfig))]
    text = RUN_DIRECTORY.read_text()
    assert f"This is format {FORMAT}." in text
    assert f"| `format` | int | {FORMAT} |" in text
    for older in range(FORMAT):
        assert table(RUN_DIRECTORY, f"Format {older}")
    assert f"at most {MAX_SEGMENTS} segments" in text
    for heading, section in SECTIONS.items():
        assert names(RUN_DIRECTORY, heading) == [f.name for f in fields(section)], heading


def test_every_metric_is_documented() -> None:
    text = RUN_DIRECTORY.read_text()
    assert names(RUN_DIRECTORY, "metrics.json") == [f.name for f in fields(SplitMetrics)]
    for field in fields(Metrics):
        assert f"`{field.name}`" in text
    assert tuple(names_of_first_column(RUN_DIRECTORY, COLUMNS_HEADING)) == COLUMNS
    losses = dict.fromkeys([*(o.name for o in OBJECTIVES), "total"])
    result = EpochResult(epoch=1, losses=losses, psnr=30.0, lr=1e-3, seconds=1.0)
    assert {*result.row(), "psnr_val", "best"} <= set(names(RUN_DIRECTORY, "history.csv"))
    status = [field.name for field in fields(TrainingStatus)]
    assert names(RUN_DIRECTORY, ".progress.json") == status


COLUMNS_HEADING = "clip_similarity_per_frame.csv"


@pytest.mark.parametrize("name", ["kitchen", "kitchen_baseline", "kitchen_clip_input"])
def test_shipped_runs_contain_documented_files_and_arrays_only(name: str) -> None:
    run = Run(ROOT / "checkpoints" / name)
    documented = set(names_of_first_column(RUN_DIRECTORY, "Files"))
    found = {item.name for item in run.path.iterdir()}
    assert found <= documented - {"model_latest.pth", "logs", ".lock"}
    assert sorted(np.load(run.baselines).files) == sorted(names(RUN_DIRECTORY, "baselines.npz"))


def test_every_key_of_verification_json_is_documented() -> None:
    content = json.loads((ROOT / "checkpoints/kitchen/verification.json").read_text())
    assert names(RUN_DIRECTORY, "verification.json") == list(content)
    measures = content["rows"][0]["figures"]["all"]
    heading = "Measures in `verification.json`"
    assert set(names(RUN_DIRECTORY, heading)) == set(measures)


def names_of_first_column(document: Path, heading: str) -> list[str]:
    """The first name of each row of a table."""
    return [re.findall(r"`([^`]+)`", row[0])[0] for row in table(document, heading)]


def test_every_flag_is_documented_with_its_default() -> None:
    actions = [action for action in build_parser()._actions if action.dest != "help"]
    documented = {
        tuple(re.findall(r"`([^`]+)`", row[0])): row[1].strip("`")
        for heading in ("Data", "Network", "CLIP", "Training", "Run")
        for row in table(TRAINING, heading)
    }
    assert documented == {tuple(a.option_strings): written(a) for a in actions}


def test_help_shows_defaults_of_flags_that_have_one() -> None:
    text = build_parser().format_help()
    for empty in ("None", "[]", "", "False"):
        assert f"(default: {empty})" not in text
    assert "(default: 300)" in text
    assert "(default: 0)" in text


def written(action: Action) -> str:
    """The default of a flag as the documents write it."""
    value = action.default
    if value is None or value is False or value == []:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "''" if value == "" else str(value)


def test_every_term_of_the_loss_and_preset_is_documented() -> None:
    assert names_in_table(TRAINING, "The loss", 0) == [o.name for o in OBJECTIVES]
    assert set(names_in_table(TRAINING, "The loss", 1)) == set(PIXEL_LOSSES)
    assert names(TRAINING, "Presets") == list(PRESETS)


def names_in_table(document: Path, heading: str, number: int) -> list[str]:
    """The names in the first column of the table with this number, from 0, below a heading."""
    text = document.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    tables = re.split(r"\n(?!\|)", text)
    rows = [part.strip().splitlines() for part in tables if part.strip().startswith("|")]
    return [n for row in rows[number][2:] for n in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_every_public_name_is_documented() -> None:
    text = (DOCS / "python.md").read_text()
    for name in nerv_clip.__all__:
        assert f"`{name}`" in text, name


def test_answers_of_the_architecture_page_exist() -> None:
    rows = table(ARCHITECTURE, "Answers")
    assert len(rows) > 20
    for _, path, name in rows:
        source = (ROOT / path.strip("`")).read_text()
        bare = name.strip("`")
        assert re.search(rf"^(def|class) {bare}\b|^{bare}\b.* = ", source, re.MULTILINE), name


def test_paths_named_in_documents_exist() -> None:
    pattern = r"`((?:app|bench|checkpoints|docs|nerv_clip|tests)/[\w./]*|train/\w+\.py)`"
    for document in DOCUMENTS:
        for path in re.findall(pattern, document.read_text()):
            assert (ROOT / path).exists() or "NAME" in path, f"{document.name}: {path}"


def test_folders_are_documented_as_the_import_contract_orders_them() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = content["tool"]["importlinter"]["contracts"]
    (layers,) = (c["layers"] for c in contracts if c.get("containers") == ["nerv_clip"])
    rows = [row[0].strip("`").replace("\\|", "|") for row in table(ARCHITECTURE, "Folders")]
    assert rows == layers
