from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamlab.directory.catalog import Catalog
from dreamlab.errors import TrainingError
from dreamlab.records import Answer, Evaluation, Question, Referral, Role, Score, TaskKind
from dreamlab.training.benchmark import questions_hash
from dreamlab.training.evaluate import (
    BATCH,
    bootstrap_interval,
    by_slice,
    evaluate,
    metrics,
    score,
    summarize,
)
from tests.training.conftest import SERVICES, scored

CATALOG = Catalog("small", SERVICES)


def question(
    accepted: Sequence[str] = ("a-1",),
    kind: TaskKind = TaskKind.REFERRAL,
    field: str = "",
    essential: Sequence[str] | None = None,
) -> Question:
    essential = accepted[:1] if essential is None else essential
    return Question(
        "q", "?", kind, "natural", "decide", "en", tuple(essential), tuple(accepted), field
    )


def cites(*ids: str, field: str = "", text: str = "", well_formed: bool = True) -> Answer:
    referral = Referral(field=field, service_ids=ids)
    return Answer(Role.TEAM, referral, text, well_formed=well_formed)


def refuses() -> Answer:
    return Answer(Role.TEAM, Referral(nothing_fits=True))


def test_f1_is_of_cited_against_accepted():
    result = score(question(["a-1", "a-2", "a-3"]), cites("a-1", "a-7"), CATALOG)
    assert result.f1 == pytest.approx(2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3))
    assert result.right


def test_five_of_many_accepted_is_full_recall():
    accepted = [f"a-{n}" for n in range(1, 8)]
    assert score(question(accepted), cites(*accepted[:5]), CATALOG).f1 == 1


def test_only_the_first_five_count():
    ids = ("a-2", "a-3", "a-4", "a-5", "a-6", "a-1")
    result = score(question(["a-1"]), cites(*ids), CATALOG)
    assert (result.f1, result.right, result.cited) == (0, False, ids[:5])


def test_citing_twice_is_citing_once():
    assert score(question(["a-1"]), cites("a-1", "a-1"), CATALOG).f1 == 1


def test_success_needs_an_essential_service():
    asked = question(["a-1", "a-2"], essential=["a-1"])
    assert not score(asked, cites("a-2"), CATALOG).right
    assert score(asked, cites("a-2", "a-1"), CATALOG).right


def test_where_nothing_fits_only_a_refusal_is_right():
    asked = question([], TaskKind.NONE)
    assert score(asked, refuses(), CATALOG).f1 == 1
    assert score(asked, refuses(), CATALOG).right
    for answer in (cites("a-1"), cites(), cites(well_formed=False)):
        assert (score(asked, answer, CATALOG).f1, score(asked, answer, CATALOG).right) == (0, False)


def test_a_refusal_that_cites_is_no_refusal():
    answer = Answer(Role.TEAM, Referral(nothing_fits=True, service_ids=("a-1",)))
    assert not score(question([], TaskKind.NONE), answer, CATALOG).right


def test_a_malformed_answer_is_wrong_even_if_it_cites_the_right_row():
    result = score(question(["a-1"]), cites("a-1", well_formed=False), CATALOG)
    assert (result.f1, result.right, result.well_formed) == (0, False, False)


def test_a_refusal_of_a_question_that_has_an_answer_scores_nothing():
    result = score(question(), refuses(), CATALOG)
    assert (result.f1, result.right) == (0, False)


class TestFacts:
    asked = question(["a-1"], TaskKind.FACT, "phone")

    def test_the_service_first_and_its_value_is_right(self):
        answer = cites("a-1", field="phone", text="Call 555-010-0001.")
        assert score(self.asked, answer, CATALOG).right

    def test_without_a_text_the_field_suffices(self):
        assert score(self.asked, cites("a-1", field="phone"), CATALOG).right

    def test_another_service_first_is_wrong(self):
        assert not score(self.asked, cites("a-2", "a-1", field="phone"), CATALOG).right

    def test_another_field_is_wrong(self):
        assert not score(self.asked, cites("a-1", field="hours"), CATALOG).right

    def test_a_text_without_the_value_is_wrong(self):
        assert not score(self.asked, cites("a-1", field="phone", text="Yes."), CATALOG).right

    def test_what_is_not_on_record_need_not_be_stated(self):
        asked = question(["a-2"], TaskKind.FACT, "phone")
        answer = cites("a-2", field="phone", text="The phone is not on record.")
        assert score(asked, answer, CATALOG).right

    def test_one_of_several_rows_that_state_it_is_full_recall(self):
        asked = question(["a-1", "a-2", "a-3"], TaskKind.FACT, "phone")
        assert score(asked, cites("a-1", field="phone"), CATALOG).f1 == 1


ids = st.lists(st.sampled_from([s.id for s in SERVICES]), max_size=7)


@given(ids, ids.filter(bool))
def test_f1_is_a_share_and_positive_exactly_when_an_accepted_row_is_cited(cited, accepted):
    result = score(question(list(dict.fromkeys(accepted))), cites(*cited), CATALOG)
    assert 0 <= result.f1 <= 1
    assert (result.f1 > 0) == bool(set(result.cited) & set(accepted))


def test_an_evaluation_answers_in_batches_and_reports_progress():
    questions = [question() for _ in range(BATCH + 3)]
    batches: list[int] = []
    told: list[tuple[int, int]] = []

    def answer(texts: Sequence[str]) -> list[Answer]:
        batches.append(len(texts))
        return [cites("a-1") for _ in texts]

    done = evaluate(
        "team", answer, questions, CATALOG, "3", progress=lambda *steps: told.append(steps)
    )
    assert batches == [BATCH, 3]
    assert told == [(BATCH, BATCH + 3), (BATCH + 3, BATCH + 3)]
    assert (done.subject, done.version, done.benchmark) == ("team", "3", questions_hash(questions))
    assert all(s.seconds > 0 for s in done.scores)


def test_seconds_stated_by_the_answer_are_kept():
    slow = Answer(Role.TEAM, Referral(), seconds=7.0)
    assert evaluate("x", lambda texts: [slow], [question()], CATALOG).scores[0].seconds == 7


def test_a_subject_that_skips_questions_is_an_error():
    with pytest.raises(TrainingError, match="answered 0 of 1"):
        evaluate("team", lambda texts: [], [question()], CATALOG)


def test_each_figure_is_over_the_questions_it_concerns():
    summary = summarize(
        [
            scored(1, f1=1, right=True),
            Score("q2", "natural", "decide", TaskKind.CASE, 0.0, False, cited=("a-1",)),
            scored(3, kind=TaskKind.FACT),
            scored(4, f1=1, right=True, kind=TaskKind.NONE),
            scored(5, kind=TaskKind.NONE, well_formed=False),
            scored(6, well_formed=False),
        ]
    )
    figures = {name: getattr(summary, name) for name in summary.__dataclass_fields__}
    assert {name: (m.n, round(m.value, 3)) for name, m in figures.items()} == {
        "f1": (6, 0.333),
        "right": (6, 0.333),
        "success": (3, 0.333),
        "fact_accuracy": (1, 0.0),
        "abstention": (2, 0.5),
        "false_abstention": (4, 0.5),
        "well_formed": (6, 0.667),
        "ungrounded": (6, 0.0),
    }


def test_metrics_are_flat_numbers_under_names_that_mlflow_takes():
    done = Evaluation("base", "b", (scored(1, 0.5, True), scored(2, half="report")))
    named = metrics(done)
    assert named["natural/decide/f1"] == 0.5
    assert named["natural/report/f1"] == 0
    assert named["natural/decide/referral/right"] == 1
    assert named["natural/decide/f1_low"] == 0.5
    assert not [name for name in named if "@" in name or name.startswith("generated")]
    assert not [name for name in named if "abstention" in name and "false" not in name]
    assert all(isinstance(value, float) for value in named.values())


def test_slices_are_summed_up_by_tag():
    asked = Question("q001", "?", TaskKind.REFERRAL, "natural", "decide", tags=("short", "slang"))
    done = Evaluation("base", "b", (scored(1, f1=1), scored(2)))
    assert {name: s.f1.n for name, s in by_slice(done, [asked]).items()} == {"short": 1, "slang": 1}
    assert by_slice(done, [asked], half="report") == {}


def test_the_bootstrap_interval_is_seeded_and_about_as_wide_as_theory_says():
    values = np.random.default_rng(1).random(400)
    low, high = bootstrap_interval(values)
    assert (low, high) == bootstrap_interval(values)
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_equal_values_have_an_interval_without_width():
    assert bootstrap_interval([1.0, 1.0]) == (1.0, 1.0)
