from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import load_phrases
from dreamlab.errors import DirectoryError
from dreamlab.records import Question, TaskKind
from dreamlab.training.benchmark import load_benchmark, near_duplicates, questions_hash
from tests.training.conftest import SERVICES

LINE = {
    "id": "nat-1",
    "question": "my fridge is empty",
    "language": "en",
    "kind": "referral",
    "essential": ["a-1"],
    "accepted": ["a-1", "a-2"],
    "field": "",
    "tags": ["short"],
    "note": "",
}


def directory(folder: Path, *lines: object) -> Catalog:
    texts = (line if isinstance(line, str) else json.dumps(line) for line in lines)
    (folder / "questions.jsonl").write_text("\n".join(texts), encoding="utf-8")
    return Catalog("small", SERVICES, folder=folder)


def letters(texts: Sequence[str]) -> np.ndarray:
    """An embedding by hand: how often each letter occurs, length 1."""
    counts = np.array([[t.count(c) for c in "abcdefghijklmnopqrstuvwxyz"] for t in texts], float)
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def test_the_shipped_benchmark_is_large_enough_in_every_part(kern: Catalog):
    benchmark = load_benchmark(kern)
    natural = [q for q in benchmark.questions if q.source == "natural"]
    assert benchmark.left_out == 0
    assert len(natural) >= 150
    assert sum(q.kind is TaskKind.NONE for q in natural) >= 25
    assert 200 <= len(benchmark.questions) - len(natural) <= 260


def test_each_source_is_split_about_in_halves(kern: Catalog):
    counts = Counter((q.source, q.half) for q in load_benchmark(kern).questions)
    for source in ("natural", "generated"):
        share = counts[source, "decide"] / (counts[source, "decide"] + counts[source, "report"])
        assert 0.4 <= share <= 0.6


def test_ids_are_unique_and_accepted_services_exist(kern: Catalog):
    questions = load_benchmark(kern).questions
    assert len({q.id for q in questions}) == len(questions)
    assert all(service in kern for q in questions for service in q.accepted)
    assert all(set(q.essential) <= set(q.accepted) for q in questions)


def test_adding_a_question_moves_no_other(tmp_path: Path):
    lines = [LINE | {"id": f"nat-{n}", "question": f"question {n}"} for n in range(2, 22)]
    before = {q.id: q for q in load_benchmark(directory(tmp_path, *lines)).questions}
    more = {q.id: q for q in load_benchmark(directory(tmp_path, *lines, LINE)).questions}
    assert {name: more[name] for name in before} == before


def test_the_hash_sees_every_change_but_not_the_order(tmp_path: Path):
    benchmark = load_benchmark(directory(tmp_path, LINE))
    questions = benchmark.questions
    assert questions_hash(reversed(questions)) == benchmark.hash
    changed = (replace(questions[0], accepted=("a-7",)), *questions[1:])
    assert questions_hash(changed) != benchmark.hash


def test_questions_on_rows_that_are_not_there_are_left_out_and_counted(tmp_path: Path):
    gone = LINE | {"id": "nat-2", "accepted": ["a-1", "gone"]}
    benchmark = load_benchmark(directory(tmp_path, LINE, gone))
    assert [q.id for q in benchmark.questions if q.source == "natural"] == ["nat-1"]
    assert benchmark.left_out == 1


def test_a_directory_without_questions_has_generated_ones(catalog: Catalog):
    assert {q.source for q in load_benchmark(catalog).questions} == {"generated"}


@pytest.mark.parametrize(
    "line",
    [
        "{not json",
        '{"id": "x"}',
        "[]",
        json.dumps(LINE | {"kind": "riddle"}),
        json.dumps(LINE | {"kind": "none"}),
        json.dumps(LINE | {"accepted": [], "essential": []}),
        json.dumps(LINE | {"essential": ["a-7"]}),
        json.dumps(LINE),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str):
    with pytest.raises(DirectoryError, match=r"questions\.jsonl line 3"):
        load_benchmark(directory(tmp_path, LINE, "", line))


def test_a_near_literal_copy_is_refused_whatever_its_case():
    asked = Question("q", "Where can I park tonight?", TaskKind.REFERRAL, "natural", "decide")
    texts = ["where can i park  tonight", "zzz qqq jjj", "Who fixes a roof in the village?"]
    assert near_duplicates([asked], texts, letters, threshold=1.01) == (True, False, False)


def test_a_paraphrase_is_refused_by_its_embedding():
    asked = Question("q", "park tonight", TaskKind.REFERRAL, "natural", "decide")
    assert near_duplicates([asked], ["tonight park"], letters, threshold=0.99) == (True,)


def test_nothing_is_near_where_nothing_is_asked():
    assert near_duplicates([], ["anything"], letters) == (False,)
    assert near_duplicates([], [], letters) == ()


def test_no_phrase_of_the_dreams_is_a_benchmark_question_up_to_a_few_letters(kern: Catalog):
    bank = load_phrases(kern)
    facets = (*bank.needs.values(), *bank.groups.values())
    phrases = [text for facet in facets for texts in facet.situations.values() for text in texts]
    phrases += [text for texts in bank.outside.values() for text in texts]
    near = near_duplicates(load_benchmark(kern).questions, phrases, letters, threshold=1.01)
    assert len(phrases) > 1000
    assert [text for text, copied in zip(phrases, near, strict=True) if copied] == []
