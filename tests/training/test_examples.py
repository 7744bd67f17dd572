from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dreamlab.errors import StorageError, TrainingError
from dreamlab.models.completion import CompletionFormat
from dreamlab.records import Answer, Experience, Referral, Role, Task, TaskKind
from dreamlab.training.examples import completed, examples, export, rows, usable

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FORMAT = CompletionFormat(("food", "housing"), ("seniors",), ("Delano",))
FOOD = Referral(needs=("food",), groups=("seniors",), place="Delano", service_ids=("a-1",))


def lived(
    number: int = 1,
    question: str = "",
    team: Referral = FOOD,
    base: Referral | None = None,
    verified: bool | None = True,
    well_formed: bool = True,
) -> Experience:
    task = Task(f"t{number}", question or f"question {number}", TaskKind.REFERRAL, "n1")
    answers = [Answer(Role.TEAM, team)]
    if base is not None:
        answers.append(Answer(Role.BASE, base, well_formed=well_formed))
    return Experience(task, tuple(answers), NOW, verified)


def test_only_verified_experiences_become_examples():
    found = examples([lived(1), lived(2, verified=False), lived(3, verified=None)])
    assert [e.experience_id for e in found] == ["n1/t1"]


def test_an_experience_without_the_teams_answer_teaches_nothing():
    silent = Experience(Task("t", "?"), (), NOW, verified=True)
    assert examples([silent, lived(team=Referral())]) == []


def test_the_chosen_referral_is_cut_down_to_what_is_completed():
    assert examples([lived()])[0].chosen == Referral(
        needs=("food",), groups=("seniors",), place="Delano"
    )
    fact = Referral(needs=("food",), field="phone", service_ids=("a-1",))
    assert completed(fact) == Referral(field="phone")
    assert completed(Referral(needs=("food",), nothing_fits=True)) == Referral(nothing_fits=True)


def test_what_the_base_said_is_rejected_only_where_it_differs():
    same = Referral(needs=("food",), groups=("seniors",), place="Delano")
    other = Referral(needs=("housing",), service_ids=("a-3",))
    found = examples([lived(1, base=same), lived(2, base=other), lived(3)])
    assert [e.rejected for e in found] == [None, Referral(needs=("housing",)), None]


def test_the_order_of_needs_is_no_difference():
    team = Referral(needs=("food", "housing"))
    assert (
        examples([lived(team=team, base=Referral(needs=("housing", "food")))])[0].rejected is None
    )


def test_what_could_not_be_parsed_is_not_compared():
    found = examples([lived(base=Referral(needs=("housing",)), well_formed=False)])
    assert found[0].rejected is None
    assert examples([lived(base=Referral())])[0].rejected is None


def test_a_question_asked_twice_is_learnt_once_and_the_last_time_counts():
    later = lived(2, "Where is  FOOD?", team=Referral(needs=("housing",)))
    found = examples([lived(1, "where is food?"), lived(3), later])
    assert [e.experience_id for e in found] == ["n1/t2", "n1/t3"]
    assert found[0].chosen.needs == ("housing",)


def test_the_three_formats_are_rows_for_trl():
    found = examples([lived(base=Referral(nothing_fits=True))])
    right = "<need:food> <group:seniors> <place:Delano>"
    assert rows(found, "completion", FORMAT.encode) == [
        {"prompt": "question 1", "completion": right}
    ]
    assert rows(found, "instruction", FORMAT.encode) == [
        {
            "prompt": [{"role": "user", "content": "question 1"}],
            "completion": [{"role": "assistant", "content": right}],
        }
    ]
    assert rows(found, "comparison", FORMAT.encode) == [
        {"prompt": "question 1", "chosen": right, "rejected": "<none>"}
    ]


def test_a_comparison_needs_a_rejected_answer():
    found = examples([lived(1), lived(2, base=Referral(nothing_fits=True))])
    assert [e.experience_id for e in usable(found, "comparison")] == ["n1/t2"]
    assert len(rows(found, "comparison", FORMAT.encode)) == 1
    assert len(rows(found, "completion", FORMAT.encode)) == 2


def test_an_unknown_format_is_an_error():
    with pytest.raises(TrainingError, match="completion, instruction, comparison"):
        rows([], "essay", FORMAT.encode)


def test_an_exported_dataset_is_the_rows_hashed_with_their_lineage(tmp_path: Path):
    found = examples([lived(1, "¿dónde?"), lived(2)])
    made = rows(found, "completion", FORMAT.encode)
    dataset = export(made, tmp_path / "new", [e.experience_id for e in found])
    data = dataset.path.read_bytes()
    assert [json.loads(line) for line in data.decode().splitlines()] == made
    assert hashlib.sha256(data).hexdigest() == dataset.sha256
    assert (dataset.count, dataset.lineage) == (2, ("n1/t1", "n1/t2"))
    beside = json.loads((tmp_path / "new" / "lineage.json").read_text())
    assert beside == {"sha256": dataset.sha256, "count": 2, "experiences": ["n1/t1", "n1/t2"]}


def test_the_same_rows_have_the_same_hash(tmp_path: Path):
    made = [{"prompt": "a", "completion": "b"}]
    turned = [{"completion": "b", "prompt": "a"}]
    hashes = {export(r, tmp_path / str(n)).sha256 for n, r in enumerate((made, turned, made))}
    assert len(hashes) == 1
    assert export([*made, *made], tmp_path / "more").sha256 not in hashes


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        export([], tmp_path / "file")
