import importlib.util
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamlab.errors import SettingsError
from dreamlab.privacy.findings import PLACEHOLDER, Kind
from dreamlab.privacy.masking import Masker
from dreamlab.records import Answer, Experience, Referral, Role, Task

ROWS = (
    "Emergency shelter. Mercy House of Taft. Dolores Huerta Foundation. Call 661-555-0100.",
    "the shelter has beds for families; ask at the office of the agency",
)
BARE = Masker()
PIECES = ["my name is", "Rosa", "and", "661-555-0142", ",", "[NAME]", "a@b.co", "case", "I'm"]
HOSTILE = [
    "a.b.",
    "A1-",
    "1-",
    "a at b dot ",
    "J.",
    "case number ",
    "one ",
    "%+-",
    "12-34 ",
    "1 a ",
    "calle a 1 ",
]


@pytest.fixture(scope="module")
def masker() -> Masker:
    return Masker(ROWS, ["Taft", "Delano", "Lake Isabella"])


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "masking_recall.py"
    spec = importlib.util.spec_from_file_location("masking_recall", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("My name is Rosa Delgado and I need food", "My name is [NAME] and I need food"),
        ("im jessica tran i need diapers", "im [NAME] i need diapers"),
        ("me llamo yesenia y necesito ayuda", "me llamo [NAME] y necesito ayuda"),
        ("soy maría de la luz ortega", "soy [NAME]"),
        ("my son Tyler needs a tutor", "my son [NAME] needs a tutor"),
        ("Ask Mrs. Ramirez about it", "Ask Mrs. [NAME] about it"),
        ("My friend Oluwadamilare needs work", "My friend [NAME] needs work"),
        ("where can Jean-Luc O'Neill sleep", "where can [NAME] sleep"),
        ("call me at 661-555-0142", "call me at [PHONE]"),
        ("+52 55 1234 5678 is my number", "[PHONE] is my number"),
        ("six six one 555 0147 after 5", "[PHONE] after 5"),
        ("write to k_w@example.org", "write to [EMAIL]"),
        ("linda dot c at example dot com", "[EMAIL]"),
        ("ssn 219-09-9999", "ssn [SSN]"),
        ("my social is 518201947", "my social is [SSN]"),
        ("mi número de caso es 1A7K331", "mi número de caso es [CASE NUMBER]"),
        ("A208-554-917 is on the letter", "[CASE NUMBER] is on the letter"),
        ("I live at 1420 Oleander Ave apt 4", "I live at [ADDRESS]"),
        ("vivo en calle Hidalgo 123", "vivo en [ADDRESS]"),
        ("dob 04/12/1961, need help", "dob [DATE OF BIRTH], need help"),
        ("nací el 3 de marzo de 1954", "nací el [DATE OF BIRTH]"),
    ],
)
def test_personal_data_is_replaced_by_its_kind(masker: Masker, text: str, masked: str) -> None:
    assert masker.mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Is Mercy House in Taft open? I am from Delano",
        "What does the Dolores Huerta Foundation do near Lake Isabella",
        "is 661-555-0100 still the number of the shelter, or (661) 555-0100?",
        "call 2-1-1, 988 or 911, or 1-800-273-8255",
        "I pay $1,450 in 93307, I am 62 and it is 2026",
        "My name is not on the list. In my case nobody calls back",
        "me llamo al 211 y nadie contesta",
        "Where Can I Get Food",
        "NEED A SHELTER TODAY",
        "does the DMV take CalFresh cards on Friday",
        "I am 2 blocks from Chester Ave and 3 kids are with me",
        "the court date is 12/04/2026; I was born in 1954",
        "vivo a 3 cuadras de la avenida Union",
    ],
)
def test_what_is_not_personal_survives(masker: Masker, text: str) -> None:
    assert masker.mask(text) == text


def test_a_place_is_a_name_where_it_is_introduced_as_one(masker: Masker) -> None:
    assert masker.mask("my name is Delano") == "my name is [NAME]"


def test_recall_stays_where_it_was_measured(benchmark: ModuleType) -> None:
    lab = benchmark.Lab(benchmark.load_settings())
    hit, total, false, plain = Counter[str](), Counter[str](), 0, 0
    for question in [q for part in benchmark.PARTS for q in benchmark.read(part)]:
        found = lab.masker.find(question.text)
        covered = {c for one in found for c in range(one.start, one.end)}
        for kind, start, end in question.values:
            total[kind] += 1
            hit[kind] += all(c in covered for c in range(start, end) if question.text[c].isalnum())
        plain += not question.values
        false += bool(found) and not question.values
    assert sum(total.values()) >= 300
    assert plain >= 180
    for kind in ("phone", "email", "ssn", "case"):
        assert hit[kind] == total[kind], kind
    for kind in ("name", "address", "birth"):
        assert hit[kind] / total[kind] >= 0.94, kind
    assert false / plain <= 0.03


def test_addresses_of_the_directory_survive(benchmark: ModuleType) -> None:
    lab = benchmark.Lab(benchmark.load_settings())
    listed = [s.address for s in lab.catalog.services if any(c.isdigit() for c in s.address)]
    assert len(listed) > 50
    for address in listed:
        for text in (address, f"is the place at {address} open today", f"I am at {address}"):
            assert not [f for f in lab.masker.find(text) if f.kind == Kind.ADDRESS], text


@given(st.text(max_size=200))
def test_any_text_is_masked_once_and_for_all(text: str) -> None:
    masked = BARE.mask(text)
    assert BARE.mask(masked) == masked


@given(st.lists(st.sampled_from(PIECES)))
def test_masking_again_changes_nothing(words: list[str]) -> None:
    masked = BARE.mask(" ".join(words))
    assert BARE.mask(masked) == masked
    assert "0142" not in PLACEHOLDER.sub("", masked)


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_question_costs_little(piece: str) -> None:
    start = time.perf_counter()
    BARE.mask((piece * 4000)[:4000])
    assert time.perf_counter() - start < 1


def test_an_answer_that_repeats_the_name_is_masked_and_services_stay(masker: Masker) -> None:
    answer = Answer(
        Role.TEAM,
        Referral(("food",), service_ids=("kern-001",)),
        text="Dear Rosa Delgado, call 661-555-0100.",
        notes=("Rosa Delgado lives in Taft",),
    )
    task = Task("q1", "I'm Rosa Delgado, 661-555-0142, hungry", night="2026-11-22-asked")
    kept = masker.mask_experience(Experience(task, (answer,), datetime(2026, 11, 22, tzinfo=UTC)))
    assert kept.task.question == "I'm [NAME], [PHONE], hungry"
    assert kept.answers[0].text == "Dear [NAME], call 661-555-0100."
    assert kept.answers[0].notes == ("[NAME] lives in Taft",)
    assert kept.answers[0].referral == answer.referral


def test_a_country_without_phone_numbers_is_named() -> None:
    with pytest.raises(SettingsError, match="DREAMLAB_PHONE_COUNTRY=XX"):
        Masker(country="XX")


def test_numbers_are_read_as_the_country_writes_them() -> None:
    assert Masker(country="MX").mask("marque al 55 1234 5678") == "marque al [PHONE]"
