import pytest

from dreamlab.directory.hours import hours
from dreamlab.directory.tables import Row


def row(**cells: str) -> Row:
    return Row(cells, "schedule.csv", "line 2")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], ""),
        ([{}], ""),
        (
            [{"byday": "MO,TU,WE,TH", "opens_at": "09:00", "closes_at": "17:30"}],
            "Mon-Thu 9am-5:30pm",
        ),
        (
            [{"weekday": str(n), "opens_at": "9:00", "closes_at": "12:00"} for n in (1, 2, 3)],
            "Mon-Wed 9am-noon",
        ),
        (
            [
                {"weekday": "Monday", "opens_at": "08:00:00Z", "closes_at": "12:00"},
                {"weekday": "Monday", "opens_at": "13:00", "closes_at": "17:00"},
                {"weekday": "Friday", "opens_at": "08:00", "closes_at": "12:00"},
            ],
            "Mon, Fri 8am-noon; Mon 1pm-5pm",
        ),
        ([{"weekday": "0", "opens_at": "10:00"}], "Sun from 10am"),
        ([{"weekday": "7", "closes_at": "10:00 p.m."}], "Sun until 10pm"),
        (
            [{"byday": "SU,MO,TU,WE,TH,FR,SA", "opens_at": "00:00", "closes_at": "24:00"}],
            "daily 24 hours",
        ),
        (
            [{"freq": "MONTHLY", "byday": "2MO,-1FR", "opens_at": "T10:00"}],
            "second Mon and last Fri monthly from 10am",
        ),
        (
            [{"freq": "WEEKLY", "interval": "2", "byday": "TU", "opens_at": "10:00"}],
            "Tue every 2 weeks from 10am",
        ),
        ([{"description": "9 to 5, not on holidays", "byday": "MO"}], "9 to 5, not on holidays"),
        (
            [{"description": "by appointment", "byday": "MO", "opens_at": "10:00"}],
            "Mon from 10am; by appointment",
        ),
        ([{"byday": "XX,?", "opens_at": "soon", "closes_at": "99:99"}], ""),
        ([{"weekday": "²", "opens_at": "25:00"}], ""),
    ],
)
def test_schedules_become_words(rows: list[dict[str, str]], expected: str) -> None:
    assert hours([row(**cells) for cells in rows]) == expected
