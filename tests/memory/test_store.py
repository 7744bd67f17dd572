from __future__ import annotations

import os
import resource
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from dreamlab.errors import RecallError, StorageError
from dreamlab.memory import store as store_module
from dreamlab.memory.reflection import reflect
from dreamlab.memory.store import MemoryStore, open_store
from dreamlab.records import MemoryKind, Reflection
from dreamlab.settings import load_settings
from tests.memory.fakes import NOON, WordEmbedder, experience, store_in

HARD = [
    "o'clock",
    'say "so"',
    "back\\slash",
    "100%",
    "a; DROP TABLE memories --",
    "ñandú",
    "x\x00y",
]


def questions(store: MemoryStore, text: str, **filters: object) -> list[str]:
    return [memory.text for memory in store.recall(text, now=NOON, **filters)]  # type: ignore[arg-type]


def test_an_empty_store_answers_and_writes_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path / "home")
    assert store.recall("anything") == []
    assert store.experiences() == []
    assert store.reflections() == []
    assert store.nights() == ()
    assert store.counts() == {"experience": 0, "reflection": 0, "insight": 0, "verified": 0}
    assert store.append([]) == 0
    assert not (tmp_path / "home").exists()


def test_what_is_appended_is_read_back_in_order_of_night_and_task(store: MemoryStore) -> None:
    made = [experience(n, night=night) for night in ("2026-11-02", "2026-11-01") for n in (2, 1)]
    assert store.append(made) == 4
    assert store.experiences() == sorted(made, key=lambda e: e.id)
    assert store.experiences(night="2026-11-02") == [made[1], made[0]]
    assert store.nights() == ("2026-11-01", "2026-11-02")


def test_an_existing_key_is_not_added_again(store: MemoryStore) -> None:
    made = [experience(n) for n in range(5)]
    assert store.append(made[:3]) == 3
    assert store.append(made + made) == 2
    assert store.append([replace(made[0], score=0.5)]) == 0
    assert store.experiences() == made


def test_threads_that_append_the_same_rows_add_them_once(store: MemoryStore) -> None:
    made = [experience(n) for n in range(10)]
    with ThreadPoolExecutor(4) as threads:
        added = list(threads.map(lambda _: store.append(made), range(8)))
    assert sorted(added) == [0] * 7 + [10]
    assert store.experiences() == made


def test_the_same_task_id_in_another_night_is_another_experience(store: MemoryStore) -> None:
    assert store.append([experience(1), experience(1, night="2026-11-02")]) == 2


def test_verified_experiences_can_be_read_alone(store: MemoryStore) -> None:
    made = [experience(n, verified=v) for n, v in enumerate((True, False, None))]
    store.append(made)
    assert store.experiences(verified=True) == made[:1]
    assert store.experiences(verified=False) == made[1:2]
    assert store.counts()["verified"] == 1


def test_reflections_and_insights_are_kept_beside_experiences(store: MemoryStore) -> None:
    made = experience()
    insight = Reflection("i", "2026-11-01", MemoryKind.INSIGHT, "meals are easy", NOON)
    store.append([made])
    assert store.append_reflections([reflect(made), insight, insight]) == 2
    assert store.append_reflections([insight]) == 0
    assert store.reflections() == [insight, reflect(made)]
    assert store.reflections(kind=MemoryKind.INSIGHT) == [insight]
    assert store.reflections(night="2026-11-09") == []
    assert store.counts() == {"experience": 1, "reflection": 1, "insight": 1, "verified": 1}


def test_a_second_handle_sees_rows_at_once(tmp_path: Path) -> None:
    early, writer = store_in(tmp_path), store_in(tmp_path)
    writer.append([experience(1)])
    assert early.counts()["experience"] == 1
    writer.append([experience(2)])
    assert early.counts()["experience"] == 2
    assert len(early.recall("warm meal")) == 2


def test_the_most_similar_question_is_recalled_first(store: MemoryStore) -> None:
    store.append(
        [
            experience(1, "where is a warm meal"),
            experience(2, "someone to fix my roof"),
            experience(3, "a lawyer for an eviction"),
        ]
    )
    memory = store.recall("who can fix a leaking roof", limit=1, now=NOON)[0]
    assert memory.text == "someone to fix my roof"
    assert memory.experience == experience(2, "someone to fix my roof")
    assert 0 < memory.score <= memory.similarity <= 1
    assert memory.recency == 1


def test_full_text_finds_a_word_that_the_vectors_miss(tmp_path: Path) -> None:
    class Blind(WordEmbedder):
        def embed(self, texts: object) -> np.ndarray:
            return super().embed(["same" for _ in texts])  # type: ignore[attr-defined]

    store = open_store(load_settings(home=tmp_path), Blind())
    store.append([experience(n, f"question {n}") for n in range(60)])
    store.append([experience(99, "¿Dónde está el médico?")])
    assert questions(store, "donde medico", limit=1) == ["¿Dónde está el médico?"]


def test_the_vectors_find_what_shares_no_indexed_word(store: MemoryStore) -> None:
    store.append([experience(1, "where to"), experience(2, "there")])
    assert questions(store, "to where", limit=1) == ["where to"]


def test_filters_keep_what_fits(store: MemoryStore) -> None:
    store.append(
        [
            experience(1, "meal one", night="2026-11-01", needs=("food",), place="Taft"),
            experience(2, "meal two", night="2026-11-02", needs=("food", "legal")),
            experience(3, "meal three", night="2026-11-03", needs=("legal",), groups=("seniors",)),
        ]
    )
    store.append_reflections([reflect(experience(4, "meal four", night="2026-11-01"))])
    experiences = (MemoryKind.EXPERIENCE,)
    found = {
        name: sorted(questions(store, "meal", kinds=experiences, **filters))
        for name, filters in {
            "night": {"night": "2026-11-02"},
            "before": {"before_night": "2026-11-03"},
            "need": {"need": "legal"},
            "group": {"group": "seniors"},
            "place": {"place": "Taft"},
            "two": {"need": "food", "before_night": "2026-11-02"},
        }.items()
    }
    assert found == {
        "night": ["meal two"],
        "before": ["meal one", "meal two"],
        "need": ["meal three", "meal two"],
        "group": ["meal three"],
        "place": ["meal one"],
        "two": ["meal one"],
    }
    assert len(store.recall("meal", kinds=(MemoryKind.REFLECTION,))) == 1
    assert store.recall("meal", kinds=()) == []


@pytest.mark.parametrize("optimized", [False, True])
def test_any_character_may_stand_in_a_filter(store: MemoryStore, optimized: bool) -> None:
    store.append(
        [
            experience(n, "meal", night=value, needs=(value,), groups=(value,), place=value)
            for n, value in enumerate(HARD)
        ]
    )
    if optimized:
        store.optimize()
    for number, value in enumerate(HARD):
        for name in ("night", "need", "group", "place"):
            found = store.recall("meal", limit=9, **{name: value})
            assert [m.experience.task.id for m in found if m.experience] == [f"t{number:04d}"]
        assert len(store.experiences(night=value)) == 1
    assert store.counts()["experience"] == len(HARD)


@pytest.mark.parametrize(
    "text",
    ["", "   ", "???", "'; DROP", "a AND (b OR", 'x "y', "\x00\x07", "食べ物", "w " * 50_000],
)
def test_any_question_may_be_asked_of_memory(store: MemoryStore, text: str) -> None:
    store.append([experience()])
    assert len(store.recall(text)) == 1


def test_a_limit_below_one_recalls_nothing(store: MemoryStore) -> None:
    store.append([experience()])
    assert store.recall("meal", limit=0) == []


def test_a_limit_beyond_the_candidates_is_kept(store: MemoryStore) -> None:
    store.append([experience(n, f"meal number {n}") for n in range(70)])
    assert len(store.recall("meal", limit=60)) == 60


def test_an_older_memory_gives_way_to_an_equal_newer_one(store: MemoryStore) -> None:
    store.append([experience(1, days=-90), experience(2, days=0)])
    found = store.recall("where is a warm meal", now=NOON)
    assert [memory.id for memory in found] == ["2026-11-01/t0002", "2026-11-01/t0001"]
    assert found[1].recency == pytest.approx(0.5**3)


def test_equal_memories_come_in_order_of_their_keys(store: MemoryStore) -> None:
    store.append([experience(n) for n in (3, 1, 2)])
    found = [memory.id[-1] for memory in store.recall("warm meal", now=NOON)]
    assert found == ["1", "2", "3"]


def test_another_embedding_model_is_refused_with_the_remedy(tmp_path: Path) -> None:
    store_in(tmp_path).append([experience()])
    with pytest.raises(RecallError, match=r"words of 64 .* other of 64.*EMBEDDING_MODEL=words"):
        store_in(tmp_path, name="other")


def test_another_dimension_is_refused(tmp_path: Path) -> None:
    store_in(tmp_path).append([experience()])
    with pytest.raises(RecallError, match=r"words of 64 dimensions .* words of 32 dimensions"):
        open_store(load_settings(home=tmp_path), WordEmbedder("words", 32))


def test_a_store_made_meanwhile_with_another_model_is_refused_at_the_append(
    tmp_path: Path,
) -> None:
    late = store_in(tmp_path, name="other")
    store_in(tmp_path).append([experience()])
    with pytest.raises(RecallError, match="EMBEDDING_MODEL=words"):
        late.append([experience(2)])


def test_an_unwritable_folder_is_one_line_and_reading_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.write_text("a file where the folder should be")
    store = store_in(home)
    assert store.recall("anything") == []
    with pytest.raises(StorageError, match=r"cannot use memory in .*DREAMLAB_HOME") as caught:
        store.append([experience()])
    assert "\n" not in str(caught.value)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As a full disk: the kernel refuses to write a file beyond `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_disk_that_is_full_is_one_line_and_leaves_the_store_as_it_was(store: MemoryStore) -> None:
    store.append([experience(1)])
    many = [experience(n, "meal " * 40) for n in range(2, 300)]
    with (
        files_of_at_most(30_000),
        pytest.raises(StorageError, match=r"File too large; check .*space") as caught,
    ):
        store.append(many)
    assert "\n" not in str(caught.value)
    assert store.experiences() == [experience(1)]
    assert store.append(many) == len(many)


def test_a_damaged_store_is_a_recall_error_with_the_remedy(tmp_path: Path) -> None:
    store_in(tmp_path).append([experience()])
    data = next((tmp_path / "memory" / "memories.lance" / "data").iterdir())
    data.write_bytes(b"junk")
    with pytest.raises(RecallError, match=r"damaged .*backup") as caught:
        store_in(tmp_path).recall("warm meal")
    assert "\n" not in str(caught.value)


def test_a_store_left_half_made_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "memory" / ".new" / "memories.lance" / "data").mkdir(parents=True)
    store = store_in(tmp_path)
    assert store.append([experience()]) == 1
    assert len(store.recall("warm meal")) == 1
    assert not (tmp_path / "memory" / ".new").exists()


def test_optimize_keeps_every_row_and_compacts(store: MemoryStore) -> None:
    made = [experience(n, f"meal number {n}") for n in range(12)]
    for one in made:
        store.append([one])
    store.optimize()
    assert store.experiences() == made
    assert store._table().stats()["fragment_stats"]["num_fragments"] == 1


def test_many_single_appends_are_compacted_without_being_told(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "FRAGMENTS_AT_MOST", 5)
    for n in range(12):
        store.append([experience(n)])
    assert store._table().stats()["fragment_stats"]["num_fragments"] <= 6
    assert store.counts()["experience"] == 12


def test_old_versions_are_removed(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(5):
        store.append([experience(n)])
    monkeypatch.setattr(store_module, "KEEP_VERSIONS", timedelta(milliseconds=1))
    store.optimize()
    assert len(store._table().list_versions()) < 5


@pytest.fixture
def indexed(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """A store whose vectors are indexed, and read in part."""
    monkeypatch.setattr(store_module, "FLAT_BELOW", 500)
    monkeypatch.setattr(store_module, "PROBES", 2)
    store.append([experience(n, f"meal w{n} x{n % 7}", place=f"p{n % 50}") for n in range(1000)])
    store.optimize()
    assert "vector_idx" in {index.name for index in store._table().list_indices()}
    return store


def test_rows_appended_after_the_index_was_built_are_found(indexed: MemoryStore) -> None:
    indexed.append([experience(2000, "lawyer for an eviction", needs=("legal",))])
    assert questions(indexed, "eviction lawyer", limit=1) == ["lawyer for an eviction"]
    assert questions(indexed, "meal", need="legal") == ["lawyer for an eviction"]
    indexed.optimize()
    assert questions(indexed, "eviction lawyer", limit=1) == ["lawyer for an eviction"]
    assert indexed._table().index_stats("vector_idx").num_unindexed_rows == 0


def test_a_filter_is_filled_from_all_partitions(indexed: MemoryStore) -> None:
    found = indexed.recall("unrelated words", limit=25, place="p3", night="2026-11-01")
    assert len(found) == 20


def test_below_the_bar_no_vector_index_is_built(store: MemoryStore) -> None:
    store.append([experience(n) for n in range(30)])
    store.optimize()
    assert "vector_idx" not in {index.name for index in store._table().list_indices()}


def test_a_copied_folder_is_the_same_store(tmp_path: Path) -> None:
    store_in(tmp_path / "one").append([experience()])
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert store_in(tmp_path / "two").experiences() == [experience()]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_can_still_be_read(tmp_path: Path) -> None:
    store_in(tmp_path).append([experience()])
    for folder, _, _ in os.walk(tmp_path):
        os.chmod(folder, 0o500)
    store = store_in(tmp_path)
    assert len(store.recall("warm meal")) == 1
    with pytest.raises(StorageError, match="Permission denied"):
        store.append([experience(2)])
    for folder, _, _ in os.walk(tmp_path):
        os.chmod(folder, 0o700)


def files_of(home: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in home.rglob("*.lance*/**/*") if p.is_file()}


def test_what_is_forgotten_is_in_no_file_any_more(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    made = [experience(n, f"question {n} of many") for n in range(200)]
    secret = experience(999, "where may zqxjkvwombat sleep")
    note = reflect(secret)
    for start in range(0, 200, 50):
        store.append([*made[start : start + 50], secret])
    store.append_reflections([note, reflect(made[0])])
    store.optimize()
    before = files_of(tmp_path)
    assert any(b"zqxjkvwombat" in content for content in before.values())
    assert store.forget([secret, note, experience(5000)]) == 2
    after = files_of(tmp_path)
    assert not any(b"zqxjkvwombat" in content for content in after.values())
    old = {Path(name).name for name in set(before) & set(after)}
    assert old == {"latest_version_hint.json"}  # indices hold words as well
    assert store.experiences() == made
    assert store.reflections() == [reflect(made[0])]


def test_a_store_that_forgot_searches_filters_and_grows_as_before(tmp_path: Path) -> None:
    store, other = store_in(tmp_path), store_in(tmp_path)
    made = [experience(n, f"question {n} of many") for n in range(20)]
    store.append([*made, experience(99, "a lawyer for an eviction", place="Taft")])
    assert len(other.recall("lawyer", place="Taft")) == 1
    indices = sorted(index.name for index in store._table().list_indices())
    assert store.forget(made[:10]) == 10
    assert store.forget(made[:10]) == 0
    for one in (store, other, store_in(tmp_path)):
        assert questions(one, "lawyer eviction", limit=1) == ["a lawyer for an eviction"]
        assert len(one.recall("lawyer", place="Taft")) == 1
        assert one.counts()["experience"] == 11
    assert sorted(index.name for index in store._table().list_indices()) == indices
    assert store.append(made) == 10
    assert store.forget(store.experiences()) == 21
    assert store.experiences() == []
    assert store.append(made) == 20


def test_a_table_left_without_indices_gets_them_after_the_night(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.append([experience(n) for n in range(3)])
    rows = store._table().to_arrow()
    store._table().add(rows, mode="overwrite")  # as a forgetting killed half-way leaves it
    assert store._table().list_indices() == []
    store.optimize()
    assert len(store._table().list_indices()) == 6
    assert len(store.recall("warm meal", need="food")) == 3


def test_forgetting_in_an_empty_store_makes_none(tmp_path: Path) -> None:
    store = store_in(tmp_path / "home")
    assert store.forget([experience(1)]) == 0
    assert store.forget([]) == 0
