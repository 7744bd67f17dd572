from __future__ import annotations

import tomllib
from collections import Counter
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import load_phrases
from dreamlab.records import Referral, TaskKind
from dreamlab.training.generated import (
    FACTS,
    OUTSIDE,
    PER_SLICE,
    SLICES,
    generated,
    held_out,
)
from dreamlab.training.generated import (
    WORDINGS as SHIPPED,
)
from tests.training.conftest import SERVICES, WORDINGS


def shipped() -> dict[str, Any]:
    return tomllib.loads(SHIPPED.read_text(encoding="utf-8"))


def test_about_one_combination_in_eight_is_held_out(kern: Catalog):
    cells = product(kern.needs, kern.groups, kern.places)
    share = sum(held_out(*cell) for cell in cells) / (
        len(kern.needs) * len(kern.groups) * len(kern.places)
    )
    assert share == pytest.approx(1 / 8, abs=0.02)


def test_a_need_alone_is_never_held_out(kern: Catalog):
    assert not any(held_out(need) for need in kern.needs)
    assert not held_out("", "seniors", "Delano")


def test_the_held_out_rule_is_the_same_for_ever():
    cells = [("food", "seniors", "Delano"), ("food", "seniors", ""), ("legal", "", "Taft")]
    cells += [("housing", "veterans", place) for place in ("Arvin", "Wasco", "Lamont", "Taft")]
    assert [held_out(*cell) for cell in cells] == [False, False, True, False, False, False, False]


def test_the_shipped_directory_gets_about_240_questions_in_every_slice(kern: Catalog):
    counts = Counter(draft.tag for draft in generated(kern))
    assert {tag: counts[tag] for tag in SLICES} == dict.fromkeys(SLICES, PER_SLICE)
    assert counts["fact"] == FACTS
    assert 15 <= counts["outside"] <= OUTSIDE


def test_every_need_is_asked_for_about_equally_often(kern: Catalog):
    needs = Counter(draft.cell[0] for draft in generated(kern) if draft.cell)
    assert set(needs) == set(kern.needs)
    assert max(needs.values()) <= 2 * min(needs.values())


def test_only_the_combination_slice_visits_held_out_cells(kern: Catalog):
    for draft in generated(kern):
        if draft.cell:
            assert held_out(*draft.cell) == (draft.tag == "unseen_combinations")


def test_accepted_are_the_rows_that_match_the_cell(kern: Catalog):
    for draft in generated(kern):
        if draft.cell:
            need, group, place = draft.cell
            referral = Referral(needs=(need,), groups=(group,) if group else (), place=place)
            assert draft.accepted == tuple(s.id for s in kern.matching(referral))
            assert draft.accepted


def test_unseen_words_are_in_no_phrase_that_dreams_use(kern: Catalog):
    bank = load_phrases(kern)
    words = {
        word.casefold()
        for facet in (*bank.needs.values(), *bank.groups.values())
        for options in facet.words.values()
        for word in options
    }
    held = shipped()["needs"]
    overlap = {w for by in held.values() for ws in by.values() for w in ws} & words
    questions = [d.question for d in generated(kern) if d.tag == "unseen_words"]
    assert not [q for q in questions for word in overlap if f" {word} " in f" {q} "]


def test_each_question_of_unseen_words_has_one(catalog: Catalog):
    drafts = [d for d in generated(catalog, WORDINGS) if d.tag == "unseen_words"]
    words = ("a full plate", "supper", "de comer", "the over-eighties")
    assert drafts
    assert all(any(word in draft.question for word in words) for draft in drafts)


def test_facets_without_synonyms_are_asked_for_by_their_own_names(catalog: Catalog):
    bare = WORDINGS | {"needs": {}, "groups": {}}
    drafts = list(generated(catalog, bare))
    assert not [d for d in drafts if d.tag == "unseen_words"]
    assert any("housing" in d.question for d in drafts if d.tag == "unseen_wording")


def test_spanish_is_asked_only_where_every_facet_has_a_spanish_word(catalog: Catalog):
    spanish = [d for d in generated(catalog, WORDINGS) if d.language == "es" and d.cell]
    assert all(not draft.cell[1] and draft.cell[0] == "food" for draft in spanish)


def test_a_fact_names_the_service_and_accepts_all_of_that_name(catalog: Catalog):
    facts = [d for d in generated(catalog, WORDINGS) if d.kind is TaskKind.FACT]
    by_service = {ids: d for d in facts for ids in [d.accepted]}
    assert "Bread House" in by_service[("a-1",)].question
    assert "Roof Trust, Shelter" in by_service[("a-3",)].question
    assert ("a-5", "a-6") in by_service
    assert {d.field for d in facts} == {"phone", "hours"}


def test_outside_questions_accept_nothing(catalog: Catalog):
    outside = [d for d in generated(catalog, WORDINGS) if d.kind is TaskKind.NONE]
    assert {d.question for d in outside} == {"who won the game?", "sell me a boat", "¿va a llover?"}
    assert all(not d.accepted for d in outside)


def test_the_same_directory_gives_the_same_questions(catalog: Catalog):
    assert list(generated(catalog, WORDINGS)) == list(generated(catalog, WORDINGS))


def test_a_new_template_changes_only_the_questions_it_wins(kern: Catalog):
    wordings = shipped()
    templates = dict(wordings["templates"])
    templates["en_need"] = [*templates["en_need"], "brand new {need}"]
    before = {d.question for d in generated(kern, wordings)}
    after = {d.question for d in generated(kern, wordings | {"templates": templates})}
    assert all(question.startswith("brand new") for question in after - before)
    assert len(before & after) > 0.9 * len(before)


def test_any_directory_will_do():
    odd = [replace(s, needs=("träume",), groups=(), place="") for s in SERVICES]
    drafts = list(generated(Catalog("odd", odd), WORDINGS))
    assert {d.tag for d in drafts} == {"unseen_wording", "fact", "outside"}
    assert list(generated(Catalog("none", []), WORDINGS))
