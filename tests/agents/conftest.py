"""A small directory, a small phrase bank and an encoder by shared words, all made by hand."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import pytest

from dreamlab.agents.team import Team
from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import FacetPhrases, PhraseBank
from dreamlab.directory.words import content_words
from dreamlab.records import Service, Task

DIMENSION = 256


class WordEmbedder:
    """Texts that share words are near: each word's first letters point in a direction."""

    name = "words"
    dimension = DIMENSION

    def __init__(self) -> None:
        self.calls: list[list[str]] = []

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        self.calls.append(list(texts))
        rows = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in content_words(text) or ["nothing"]:
                digest = hashlib.sha256(word[:5].encode()).digest()
                row[digest[0]] += 1.0
                row[digest[1]] += 0.5
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


SERVICES = (
    Service(
        "s1",
        "Harbor House",
        "Night shelter",
        needs=("housing",),
        groups=("homeless people",),
        description="Beds, showers and breakfast.",
        place="Eastfield",
        phone="555-010-0001",
        hours="24 hours",
        source_date="2024-05-01",
    ),
    Service(
        "s2",
        "Tenant Union",
        "Eviction defence",
        needs=("legal", "housing"),
        description="Lawyers for tenants with an eviction notice.",
        place="Westport",
        phone="555-010-0002",
        address="12 Mill Street",
        fees="Free",
        source_date="2023-11-20",
    ),
    Service(
        "s3",
        "County Food Bank",
        "Pantry Express",
        needs=("food",),
        description="Groceries and food boxes.",
        phone="555-010-0003",
        fees="Free",
        source_date="2024-01-02",
    ),
    Service(
        "s4",
        "Silver Kitchen",
        "Lunch club",
        needs=("food",),
        groups=("seniors",),
        description="Hot lunch every weekday.",
        place="Eastfield",
        eligibility="Age 60 and older",
        hours="Mon-Fri 11am-1pm",
        source_date="2022-03-04",
    ),
    Service(
        "s5",
        "Wheels Co-op",
        "Dial-a-ride",
        needs=("transportation",),
        groups=("seniors", "homeless people"),
        description="Rides to appointments for older adults.",
        place="Westport",
        phone="555-010-0005",
        source_date="2024-06-07",
    ),
    Service(
        "s6",
        "Green Valley Clinic",
        "Walk-in clinic",
        needs=("healthcare",),
        description="A doctor without an appointment, sliding scale.",
        place="Eastfield",
        phone="555-010-0006",
        source_date="2021",
    ),
)


def facet(
    en: Sequence[str], es: Sequence[str] = (), situations: Sequence[str] = ()
) -> FacetPhrases:
    return FacetPhrases({"en": tuple(en), "es": tuple(es)}, {"en": tuple(situations), "es": ()})


BANK = PhraseBank(
    needs={
        "food": facet(
            ["groceries", "a hot meal", "a food box"], ["comida"], ["my fridge is empty"]
        ),
        "healthcare": facet(["a doctor", "a clinic"], ["un doctor"], ["my tooth is killing me"]),
        "housing": facet(
            ["a roof", "a shelter bed"], ["un techo"], ["the landlord is throwing us out"]
        ),
        "legal": facet(["a lawyer", "eviction help"], ["un abogado"], ["I got served papers"]),
        "transportation": facet(["a ride", "the bus"], ["un raite"], ["my car died"]),
    },
    groups={
        "homeless people": facet(["someone on the streets"], ["gente sin hogar"]),
        "seniors": facet(["older folks", "my grandma"], ["mi abuelita"], ["I just turned 66"]),
    },
    frames={
        "en_need": ("where can I get {need}", "I need {need}", "looking for {need}"),
        "en_need_place": ("is there {need} in {place}", "what about {place}"),
        "es_need": ("necesito {need}", "busco {need} por favor"),
    },
    facts={
        "phone": {
            "en": ("what's the phone number for {service}",),
            "es": ("el teléfono de {service}",),
        },
        "hours": {"en": ("when is {service} open", "what time does {service} close")},
        "address": {"en": ("what's the address of {service}",)},
        "fees": {"en": ("how much does {service} cost",)},
    },
    explain={"en": ("what is {service}",)},
    outside={"en": ("who won the game last night", "is it going to rain on Saturday")},
    elsewhere={"en": ("{need} in {elsewhere}",)},
    elsewhere_words=("Ohio", "New Mexico"),
)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog("tiny", SERVICES, helpline="2-1-1")


@pytest.fixture
def bank() -> PhraseBank:
    return BANK


@pytest.fixture
def embedder() -> WordEmbedder:
    return WordEmbedder()


@pytest.fixture
def team(catalog: Catalog, bank: PhraseBank, embedder: WordEmbedder) -> Team:
    return Team(catalog, bank, embedder)


def ask(question: str, language: str = "en") -> Task:
    return Task("t", question, language=language)
