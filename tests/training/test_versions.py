from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dreamlab.errors import RegistryError
from dreamlab.training.versions import (
    Version,
    folder_hash,
    points,
    read_cache,
    safe_hash,
    stamp,
    version_from,
    version_tags,
    write_cache,
)
from tests.training.conftest import adapter

VERSION = Version(2, datetime(2026, 1, 2, tzinfo=UTC), champion=True, scores={"natural/f1": 0.25})


def test_the_cache_gives_back_what_was_written(tmp_path: Path):
    write_cache(tmp_path / "cache.json", "now", (VERSION,))
    assert read_cache(tmp_path / "cache.json", "now") == (VERSION,)


@pytest.mark.parametrize("content", [None, "", "{", '{"stamp": "now"}', "[]"])
def test_a_cache_that_is_missing_or_broken_is_no_cache(tmp_path: Path, content: str | None):
    path = tmp_path / "cache.json"
    if content is not None:
        path.write_text(content)
    assert read_cache(path, "now") is None


def test_a_cache_of_another_time_is_void(tmp_path: Path):
    write_cache(tmp_path / "cache.json", "then", (VERSION,))
    assert read_cache(tmp_path / "cache.json", "now") is None


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path):
    (tmp_path / "file").write_text("")
    write_cache(tmp_path / "file" / "cache.json", "now", (VERSION,))


def test_the_stamp_changes_when_the_database_or_its_log_is_written(tmp_path: Path):
    database = tmp_path / "mlflow.db"
    stamps = [stamp(database)]
    for name in ("mlflow.db", "mlflow.db-wal", "mlflow.db"):
        with (tmp_path / name).open("a") as file:
            file.write("x")
        stamps.append(stamp(database))
    assert stamps[0] == ""
    assert len(set(stamps)) == 4


def test_tags_tell_all_that_a_version_is():
    tags = version_tags({"natural/f1": 0.5}, key="k", parent=1, night="", sha256="s")
    assert tags == {
        "dreamlab.key": "k",
        "dreamlab.parent": "1",
        "dreamlab.sha256": "s",
        "score.natural/f1": "0.5",
    }
    version = version_from(
        number=2,
        created=VERSION.created,
        tags=tags | {"other": "x"},
        description="",
        run_id="r",
        location="l",
    )
    assert (version.key, version.parent, version.sha256) == ("k", 1, "s")
    assert (version.night, version.untouched, version.scores) == ("", False, {"natural/f1": 0.5})


def test_a_score_is_one_tag_with_its_interval_and_details_are_left_to_the_run():
    scores = {"natural/f1": 0.5, "natural/f1_low": 0.25, "natural/f1_high": 1e-05}
    tags = version_tags(scores | {"natural/fact/f1": 0.1, "natural/questions": 145})
    assert tags == {"score.natural/f1": "0.5 [0.25, 1e-05]"}
    version = version_from(
        number=1, created=VERSION.created, tags=tags, description="", run_id="", location=""
    )
    assert version.scores == scores
    assert points(scores) == {"natural/f1": 0.5}


def test_the_hash_of_a_folder_sees_names_and_contents(tmp_path: Path):
    one, two = adapter(tmp_path / "one"), adapter(tmp_path / "two")
    assert folder_hash(one) == folder_hash(two)
    (two / "tokenizer" / "tokenizer.json").rename(two / "tokenizer" / "other.json")
    assert folder_hash(one) != folder_hash(two)
    assert folder_hash(tmp_path / "missing") == ""


@pytest.mark.parametrize("name", ["training_args.bin", "model.pt", "deep/optimizer.pkl"])
def test_files_that_may_hold_pickles_are_refused(tmp_path: Path, name: str):
    folder = adapter(tmp_path / "adapter")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    with pytest.raises(RegistryError, match="save as safetensors"):
        safe_hash(folder)


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(RegistryError, match="empty or missing"):
        safe_hash(tmp_path)
