from __future__ import annotations

from types import SimpleNamespace

import pytest

from dreamlab.directory.catalog import Catalog, open_directory
from dreamlab.errors import SettingsError
from dreamlab.orchestration.arms import ARMS, arm_named, mistaken, with_errors
from dreamlab.records import Answer, Arm, Referral, Role, Task
from dreamlab.settings import Settings


@pytest.fixture(scope="module")
def kern() -> Catalog:
    return open_directory("kern", Settings())


def answers(count: int) -> tuple[list[Task], list[list[Answer]]]:
    tasks = [Task(f"d{n:03d}", f"food {n}?", night="n") for n in range(count)]
    said = Referral(needs=("food",), groups=("seniors",), place="Delano")
    return tasks, [[Answer(Role.TEAM, said), Answer(Role.BASE, said)] for _ in tasks]


def test_no_arm_changes_nothing() -> None:
    assert Arm() == Arm("", "", False, True, True, True, True, 0.0)


@pytest.mark.parametrize("name", ARMS)
def test_every_arm_changes_something_and_keeps_its_name(name: str) -> None:
    from dataclasses import replace

    assert arm_named(name) == ARMS[name]
    assert replace(ARMS[name], name="") != Arm()


def test_arms_are_joined() -> None:
    assert arm_named("replace+grpo").training == "grpo"
    joined = arm_named("errs-30+no-check+no-gate")
    assert (joined.errs, joined.checked, joined.gated, joined.replayed) == (0.3, False, False, True)
    assert joined.name == "errs-30+no-check+no-gate"


@pytest.mark.parametrize(
    ("name", "hint"), [("no-gaet", "did you mean no-gate"), ("x", "there are aimed, random")]
)
def test_an_unknown_arm_is_named_with_what_there_is(name: str, hint: str) -> None:
    with pytest.raises(SettingsError, match=hint):
        arm_named(name)


@pytest.mark.parametrize("name", ["aimed", "errs-10", "errs-30"])
def test_a_team_errs_on_its_share_of_tasks_and_alike_each_time(name: str, kern: Catalog) -> None:
    lab = SimpleNamespace(arm=arm_named(name), catalog=kern)
    tasks, solved = answers(400)
    wrong = with_errors(lab, tasks, solved)
    assert wrong == with_errors(lab, tasks, solved)
    changed = sum(
        new[0].referral != old[0].referral for new, old in zip(wrong, solved, strict=True)
    )
    assert abs(changed / 400 - lab.arm.errs) < 0.05
    assert all(new[1] == old[1] for new, old in zip(wrong, solved, strict=True))


@pytest.mark.parametrize(
    "said",
    [
        Referral(nothing_fits=True),
        Referral(field="phone", service_ids=("kern-001",)),
        Referral(needs=("food",)),
        Referral(needs=("food", "legal"), groups=("seniors",), place="Delano"),
    ],
)
def test_a_mistake_is_another_answer_with_rows_of_its_own(said: Referral, kern: Catalog) -> None:
    for number in range(30):
        task = Task(f"d{number}", "where?", night="n")
        got = mistaken(task, Answer(Role.TEAM, said), kern).referral
        assert (got.needs, got.groups, got.place, got.field, got.nothing_fits) != (
            said.needs,
            said.groups,
            said.place,
            said.field,
            said.nothing_fits,
        )
        assert got.understood
        if got.needs:
            assert got.service_ids or not kern.matching(got)
