from collections.abc import Sequence

import numpy as np

from dreamlab.agents.base import BaseModel, Completing
from dreamlab.directory.catalog import Catalog
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.evidence import Clue
from dreamlab.models.projection import Projection
from dreamlab.records import Referral, Role
from tests.agents.conftest import WordEmbedder


class Saying:
    """A decoder that completes every question with the same text."""

    def __init__(self, completion: str) -> None:
        self.completion = completion
        self.asked: list[str] = []

    def complete(self, questions: Sequence[str]) -> list[str]:
        self.asked += questions
        return [self.completion] * len(questions)


class Marking:
    """Evidence that marks each question, compares words, and takes needs for said, every question
    for as plain and as asked for as told and, if told, for far outside."""

    def __init__(
        self,
        catalog: Catalog,
        said: Sequence[str],
        plain: float = 0.6,
        far: bool = False,
        asked: float = 0.0,
    ) -> None:
        self.rows = WordEmbedder().embed([s.text for s in catalog.services])
        self.said = frozenset(said)
        self.plain = plain
        self.far = far
        self.asked = asked

    def read(self, questions: Sequence[str]) -> list[Clue]:
        vectors = WordEmbedder().embed(questions)
        return [
            Clue(f"near {q}", v, self.rows @ v, self.said, self.far, self.asked)
            for q, v in zip(questions, vectors, strict=True)
        ]

    def plainness(self, referral: Referral, clue: Clue) -> float:
        return self.plain


def base_with(
    decoder: Completing, catalog: Catalog, evidence: Marking, projection: Projection | None = None
) -> BaseModel:
    form = CompletionFormat(catalog.needs, catalog.groups, catalog.places)
    return BaseModel(decoder, form, catalog, "3", evidence, projection)


def base_saying(
    completion: str,
    catalog: Catalog,
    said: Sequence[str] = ("food", "housing"),
    plain: float = 0.75,
    far: bool = False,
    asked: float = 0.0,
) -> BaseModel:
    return base_with(Saying(completion), catalog, Marking(catalog, said, plain, far, asked))


def test_a_completion_is_executed_by_the_directory(catalog: Catalog) -> None:
    (answer,) = base_saying("<need:food> <group:seniors>", catalog).propose(["lunch for grandma"])
    assert answer.role == Role.BASE
    assert answer.referral.needs == ("food",)
    assert answer.referral.service_ids[0] == "s4"
    assert answer.version == "3"
    assert answer.well_formed


def test_the_model_reads_each_question_with_its_evidence(catalog: Catalog) -> None:
    decoder = Saying("<none>")
    base_with(decoder, catalog, Marking(catalog, ())).propose(["a ride", "a roof"])
    assert decoder.asked == ["near a ride", "near a roof"]


def test_rows_that_fit_are_ordered_by_likeness_to_the_question(catalog: Catalog) -> None:
    base = base_saying("<need:food>", catalog)
    (boxes, lunch) = base.propose(["groceries in food boxes", "a hot lunch every weekday"])
    assert boxes.referral.service_ids == ("s3", "s4")
    assert lunch.referral.service_ids == ("s4", "s3")


def test_a_guessed_need_speaks_for_a_row_and_hides_none(catalog: Catalog) -> None:
    question = "a hot lunch every weekday"
    (guessed,) = base_saying("<need:housing>", catalog, said=()).propose([question])
    assert guessed.referral.service_ids[0] == "s4"


def test_how_plainly_it_is_asked_decides_whether_facets_filter(catalog: Catalog) -> None:
    for said, plain, asked, filtered in (
        (("housing",), 0.65, 0.0, False),
        (("housing",), 0.75, 0.0, True),
        (("housing",), 0.5, 0.25, True),
        ((), 0.85, 0.0, False),
        ((), 0.95, 0.0, True),
        ((), 0.5, 0.35, False),
        ((), 0.5, 0.45, True),
    ):
        base = base_saying("<need:housing>", catalog, said, plain, asked=asked)
        (answer,) = base.propose(["quartz"])
        assert (answer.referral.service_ids == ("s1", "s2")) == filtered


def test_rows_that_fit_far_behind_another_do_not_hide_it(catalog: Catalog) -> None:
    base = base_saying("<need:housing>", catalog, plain=0.9)
    told, unlike = base.propose(["a hot lunch every weekday", "quartz"])
    assert told.referral.service_ids[0] == "s4"
    assert "s4" not in unlike.referral.service_ids


def test_nothing_fits_a_guess_about_what_no_row_is_near(catalog: Catalog) -> None:
    for question, far, refused in (
        ("xylophones", True, True),
        ("xylophones", False, False),
        ("a hot lunch every weekday", True, False),
    ):
        base = base_saying("<need:food>", catalog, said=(), far=far)
        (answer,) = base.propose([question])
        assert answer.well_formed
        assert answer.referral.nothing_fits == refused
        assert (answer.referral.service_ids == ()) == refused
        assert ("no row is near" in answer.notes) == refused


def test_a_guess_cites_no_row_far_behind_the_best(catalog: Catalog) -> None:
    (answer,) = base_saying("<need:food>", catalog, said=()).propose(["a hot lunch every weekday"])
    assert answer.referral.service_ids == ("s4",)


def test_a_fact_completion_finds_the_named_service(catalog: Catalog) -> None:
    (answer,) = base_saying("<ask:phone>", catalog).propose(["call Harbor House please"])
    assert (answer.referral.field, answer.referral.service_ids) == ("phone", ("s1",))


def test_the_nearest_row_is_cited_too_where_a_name_seems_to_stand_in_another_question(
    catalog: Catalog,
) -> None:
    question = "who at Harbor House has groceries in food boxes and a hot lunch every weekday"
    (answer,) = base_saying("<ask:phone>", catalog).propose([question])
    assert answer.referral.service_ids[0] == "s1"
    assert set(answer.referral.service_ids[1:]) <= {"s3", "s4"}
    assert len(answer.referral.service_ids) == 2


def test_what_was_learnt_of_retrieval_counts_where_a_question_is_plain(catalog: Catalog) -> None:
    question = "xylophones"
    (vector,) = WordEmbedder().embed([question])
    (row,) = WordEmbedder().embed([catalog.get("s4").text])
    learnt = Projection(3 * np.outer(vector, row), "words")
    for plain, led in ((0.1, False), (0.2, False), (0.5, True), (0.65, True)):
        evidence = Marking(catalog, (), plain)
        decoder = Saying("<need:housing>")
        (before,) = base_with(decoder, catalog, evidence).propose([question])
        (after,) = base_with(decoder, catalog, evidence, learnt).propose([question])
        assert (after.referral.service_ids[0] == "s4") == led
        assert (after.referral.service_ids == before.referral.service_ids) != led


def test_a_malformed_completion_cites_nothing(catalog: Catalog) -> None:
    (answer,) = base_saying("<need:food> and then", catalog).propose(["food"])
    assert not answer.well_formed
    assert not answer.referral.understood
    assert "malformed" in answer.notes[0]


def test_a_refusal_cites_nothing_and_is_well_formed(catalog: Catalog) -> None:
    (answer,) = base_saying("<none>", catalog).propose(["who won"])
    assert answer.well_formed
    assert answer.referral.nothing_fits
    assert answer.referral.service_ids == ()


def test_no_questions_are_no_work(catalog: Catalog) -> None:
    base = base_saying("<none>", catalog)
    assert base.propose([]) == []
    assert base.decoder.asked == []  # type: ignore[attr-defined]
