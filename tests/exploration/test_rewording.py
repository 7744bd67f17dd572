from dataclasses import replace

import pytest

from dreamlab.directory.catalog import Catalog, open_directory
from dreamlab.directory.phrases import PhraseBank, load_phrases
from dreamlab.exploration.rewording import reword
from dreamlab.records import Referral, Task, TaskKind
from dreamlab.settings import Settings


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return open_directory("kern", Settings(home=tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="module")
def phrases(catalog: Catalog) -> PhraseBank:
    return load_phrases(catalog)


FOOD = Task(
    "d1", "food in Taft", TaskKind.REFERRAL, expected=Referral(("food",), ("seniors",), "Taft")
)
NOTHING = Task("d2", "sing to me", TaskKind.NONE, expected=Referral(nothing_fits=True))
OPEN = Task("d3", "what is missing", TaskKind.GAP)


def test_a_dream_gets_as_many_wordings_as_asked_for_its_own_first(
    catalog: Catalog, phrases: PhraseBank
) -> None:
    (food, nothing) = reword([FOOD, NOTHING], [10, 4], 1, catalog, phrases)
    assert (food[0], len(food), len({*food})) == (FOOD.question, 10, 10)
    assert (nothing[0], len(nothing)) == (NOTHING.question, 4)


def test_every_wording_names_the_place_of_the_known_answer(
    catalog: Catalog, phrases: PhraseBank
) -> None:
    (texts,) = reword([FOOD], [10], 1, catalog, phrases)
    close = [text for text in texts if "taft" in text.casefold()]
    assert len(close) >= 9  # a typo may hit the place


def test_a_fact_is_reworded_about_the_same_service(catalog: Catalog, phrases: PhraseBank) -> None:
    row = next(s for s in catalog.services if s.phone)
    task = Task(
        "d4", "call?", TaskKind.FACT, expected=Referral(field="phone", service_ids=(row.id,))
    )
    (texts,) = reword([task], [5], 1, catalog, phrases)
    assert len(texts) > 1
    assert all(catalog.named(text, 1)[0].service.id == row.id for text in texts[1:])


def test_a_service_that_is_gone_is_not_asked_about(catalog: Catalog, phrases: PhraseBank) -> None:
    gone = Referral(field="phone", service_ids=("gone-1",))
    assert reword([replace(FOOD, expected=gone)], [5], 1, catalog, phrases) == [[FOOD.question]]


def test_a_task_without_a_known_answer_keeps_its_words(
    catalog: Catalog, phrases: PhraseBank
) -> None:
    assert reword([OPEN], [10], 1, catalog, phrases) == [[OPEN.question]]


def test_the_same_seed_gives_the_same_wordings(catalog: Catalog, phrases: PhraseBank) -> None:
    one, again, other = (reword([FOOD], [8], seed, catalog, phrases) for seed in (1, 1, 2))
    assert one == again != other


def test_what_is_near_to_the_benchmark_is_left_out(catalog: Catalog, phrases: PhraseBank) -> None:
    texts = reword([FOOD, NOTHING], [6, 6], 1, catalog, phrases, lambda ts: [True] * len(ts))
    assert texts == [[], []]
