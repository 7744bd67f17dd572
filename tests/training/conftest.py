"""A small directory by hand, and makers of scores and evaluations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamlab.directory.catalog import Catalog, open_directory
from dreamlab.records import Evaluation, Score, Service, TaskKind
from dreamlab.settings import Settings
from dreamlab.training.registry import FINE_TUNING, NIGHTS, Registry

SERVICES = (
    Service("a-1", "Bread House", "Pantry", ("food",), place="Northville", phone="555-010-0001"),
    Service("a-2", "Soup Van", "Hot meals", ("food",), ("seniors",), place="Southtown"),
    Service("a-3", "Roof Trust", "Shelter", ("housing",), ("veterans",), phone="555-010-0003"),
    Service("a-4", "Roof Trust", "Rent aid", ("housing", "cash"), ("seniors",), place="Northville"),
    Service("a-5", "Job Desk", "Job club", ("work",), (), place="Southtown", hours="Mon 9-5"),
    Service("a-6", "Job Desk", "Job club", ("work",), (), place="Northville", hours="Tue 9-5"),
    Service("a-7", "Law Line", "Advice", ("legal",), (), phone="555-010-0007"),
)

WORDINGS = {
    "templates": {
        "en_need": ["who has {need}?", "{need}, where"],
        "en_need_group": ["{need} for {group}?", "is there {need} when we are {group}"],
        "en_need_place": ["{need} around {place}?", "out in {place}, {need}"],
        "en_need_group_place": ["{need} for {group} around {place}?"],
        "es_need": ["¿dónde hay {need}?"],
        "es_need_place": ["¿dónde hay {need} en {place}?"],
    },
    "needs": {"Food": {"en": ["a full plate", "supper"], "es": ["de comer"]}},
    "groups": {"seniors": {"en": ["the over-eighties"]}},
    "facts": {
        "phone": {"en": ["number of {service}?"], "es": ["¿número de {service}?"]},
        "hours": {"en": ["is {service} open today?"]},
    },
    "outside": {"en": ["who won the game?", "sell me a boat"], "es": ["¿va a llover?"]},
}


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog("small", SERVICES, helpline="2-1-1")


@pytest.fixture(scope="session")
def kern(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return open_directory("kern", Settings(home=tmp_path_factory.mktemp("home")))


def scored(
    number: int,
    f1: float = 0.0,
    right: bool = False,
    kind: TaskKind = TaskKind.REFERRAL,
    half: str = "decide",
    well_formed: bool = True,
) -> Score:
    return Score(f"q{number:03}", "natural", half, kind, f1, right, well_formed)


def evaluation(scores: Iterator[Score] | list[Score], benchmark: str = "b") -> Evaluation:
    return Evaluation("base", benchmark, tuple(scores))


def adapter(folder: Path, content: str = "weights") -> Path:
    """A folder that looks like a saved adapter."""
    (folder / "tokenizer").mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_text(content)
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")
    return folder


class Place:
    """A data folder with a registry on it; `version` registers one in a run of its own."""

    def __init__(self, home: Path, directory: str = "kern") -> None:
        self.settings = Settings(home=home / "data", directory=directory)
        self.scratch = home / "scratch" / directory
        self.registry = Registry(self.settings)

    def adapter(self, key: str) -> Path:
        return adapter(self.scratch / key, content=f"weights of {key}")

    def version(self, key: str, **known):
        folder = self.scratch / key
        folder = folder if folder.exists() else self.adapter(key)
        run = self.registry.start_run(FINE_TUNING, key, key)
        return self.registry.register(folder, run, key, **known)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose database is migrated already: copied, it saves seconds a test."""
    home = tmp_path_factory.mktemp("template")
    Registry(Settings(home=home / "data")).start_run(NIGHTS, "first")
    return home


@pytest.fixture
def place(tmp_path: Path, template: Path) -> Place:
    (tmp_path / "data" / "mlflow").mkdir(parents=True)
    database = (template / "data" / "mlflow" / "mlflow.db").read_bytes()
    (tmp_path / "data" / "mlflow" / "mlflow.db").write_bytes(database)
    return Place(tmp_path)
