"""A lab that lives long, and a directory that is imported anew meanwhile."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dreamlab.directory.importing import import_directory
from dreamlab.directory.rows import ROWS
from dreamlab.lab import OF_DIRECTORY, Lab
from dreamlab.records import Task
from dreamlab.settings import Settings

HEADER = "id,organization,service,resource_types,serves,city,phone\n"
PANTRY = "s-1,Hands,Green Door Pantry,food,seniors,Delano,555-010-0001\n"
SHELTER = "s-2,Roof Trust,Night Shelter,housing,veterans,Taft,555-010-0002\n"
KITCHEN = "s-3,Lantern,Lantern Kitchen,food,families,Arvin,555-010-0003\n"
PHRASES = """
[needs.food]
words_en = ["groceries", "a hot meal"]
[facts.phone]
en = ["what is the phone number of {service}?"]
"""
ASKED = Task("q", "What is the phone number of the Green Door Pantry?")


def put(lab: Lab, *rows: str) -> None:
    folder = lab.settings.home / "source"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "directory.toml").write_text('helpline = "2-1-1"\n[rows]\nmine = "services.csv"\n')
    (folder / "phrases.toml").write_text(PHRASES)
    (folder / ROWS).write_text(HEADER + "".join(rows))
    import_directory(folder, "mine", lab.settings)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(Settings(home=tmp_path, directory="mine", threads=2))
    put(made, PANTRY, SHELTER)
    return made


def cited(lab: Lab) -> tuple[str, ...]:
    answer = lab.night_team("", "n").solve(ASKED)[0]
    assert ("555-010-0001" in answer.text) == ("s-1" in answer.referral.service_ids)
    return answer.referral.service_ids


def test_the_next_question_is_answered_from_the_new_rows(lab: Lab) -> None:
    assert cited(lab) == ("s-1",)
    under_way, embedder = lab.night_team("", "n"), lab.embedder
    before = {name: getattr(lab, name) for name in OF_DIRECTORY}
    assert lab.night_team("", "n") is under_way, "nothing has changed: nothing is made anew"

    put(lab, SHELTER, KITCHEN)
    assert "s-1" not in cited(lab)
    assert "Pantry" not in lab.night_team("", "n").solve(ASKED)[0].text
    assert lab.catalog.places == ("Arvin", "Taft")
    assert not any(getattr(lab, name) is part for name, part in before.items())
    assert lab.format.places == ("Arvin", "Taft")
    assert lab.embedder is embedder
    assert under_way.solve(ASKED)[0].referral.service_ids == ("s-1",), "it ends as it began"


def test_a_damaged_directory_leaves_the_old_rows_and_one_line_in_the_log(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    assert cited(lab) == ("s-1",)
    folder = lab.catalog.folder
    assert folder
    (folder / ROWS).write_text("id,organization\nbroken\n")
    with caplog.at_level(logging.WARNING, "dreamlab.lab"):
        for _ in range(3):
            assert cited(lab) == ("s-1",)
    said = [r.getMessage() for r in caplog.records if r.name == "dreamlab.lab"]
    assert len(said) == 1
    assert "the old one stays: services.csv line" in said[0]
    put(lab, SHELTER, KITCHEN)
    assert "s-1" not in cited(lab)


def test_a_directory_that_goes_away_takes_no_running_lab_down(lab: Lab) -> None:
    assert cited(lab) == ("s-1",)
    (lab.settings.directories_path / "mine" / "current").unlink()
    assert cited(lab) == ("s-1",)


def test_parts_read_by_many_threads_are_always_of_the_same_rows(lab: Lab) -> None:
    """A part whose making is overtaken by a change would bear the old rows for ever."""
    wrong: list[object] = []
    over = threading.Event()

    def ask() -> None:
        try:
            while not over.is_set():
                team = lab.night_team("", "n")
                found = team.solve(ASKED)[0].referral.service_ids
                if not all(id_ in team.catalog for id_ in found):
                    wrong.append(found)
                with lab.parts:
                    rows = lab.evidence.read(["a hot meal"])[0].similarity
                    if len(rows) != len(lab.catalog) or lab.format.places != lab.catalog.places:
                        wrong.append(len(rows))
        except Exception as error:  # whatever it is, the test shall name it
            wrong.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for rows in ((SHELTER, KITCHEN), (PANTRY,), (PANTRY, SHELTER, KITCHEN)) * 2:
        put(lab, *rows)
        assert len(lab.night_team("", "n").catalog) == len(rows)
    over.set()
    for thread in threads:
        thread.join(60)
    assert not wrong
