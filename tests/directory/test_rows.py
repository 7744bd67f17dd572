from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dreamlab.directory.rows import (
    COLUMNS,
    LISTS,
    facets,
    format_manifest,
    format_rows,
    parse_manifest,
    read_services,
    read_table,
    tidy,
    to_service,
    without_remarks,
)
from dreamlab.errors import DirectoryError
from dreamlab.records import Service

text = st.text(max_size=40).map(tidy)
lists = st.lists(st.text(max_size=12), max_size=4).map(facets)
services = st.builds(
    Service,
    **{
        name: lists if name in LISTS else text.filter(bool) if name == "id" else text
        for name in COLUMNS.values()
    },
)


def test_every_field_of_a_service_has_a_column() -> None:
    assert set(COLUMNS.values()) == {field.name for field in fields(Service)}


@given(st.lists(services, max_size=5))
def test_rows_written_are_the_rows_read(rows: list[Service]) -> None:
    assert [to_service(row) for _, row in read_table(format_rows(rows), "rows.csv")] == rows


@given(st.lists(services, min_size=1, max_size=5, unique_by=lambda s: s.id))
def test_a_file_written_opens_again(rows: list[Service]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text(format_rows(rows), encoding="utf-8", newline="")
        assert list(read_services(path)) == rows


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_title_survives_the_manifest(title: str, helpline: str) -> None:
    manifest = parse_manifest(format_manifest("mine", title, helpline), "x", Path())
    assert (manifest.title, manifest.helpline) == (tidy(title), tidy(helpline))
    assert manifest.rows == {"mine": "services.csv"}


def test_remarks_in_brackets_are_for_the_reader_only() -> None:
    assert without_remarks("8300 Segue Road (as printed), Lamont") == "8300 Segue Road, Lamont"
    assert without_remarks("Mon-Fri 8am [2020] (holidays too)") == "Mon-Fri 8am"


def test_a_semicolon_or_tab_may_separate() -> None:
    for separator in ";\t":
        table = separator.join(["ID", "Service Name"]) + "\n" + separator.join(["1", "a,b"])
        assert list(read_table(table, "x.csv")) == [(2, {"id": "1", "service_name": "a,b"})]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("id,organization,service\na,b\n", "x.csv line 2, after column organization: 2 cells"),
        ("id,organization,service\na,b,c,d\n", "x.csv line 2, after column service: 4 cells"),
        ('id,organization\na,"b\n', "x.csv line 2, row starting in column id"),
        ("id,id\n1,2\n", "x.csv line 1: column id stands twice"),
        ("", "x.csv is empty"),
    ],
)
def test_a_broken_table_is_named_by_file_line_and_column(table: str, message: str) -> None:
    with pytest.raises(DirectoryError) as error:
        list(read_table(table, "x.csv"))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("id,organization\na,b\n", "column service is missing"),
        ("id,organization,service\n,b,c\n", "line 2, column id: the id is empty"),
        ("id,organization,service\na,b,c\na,d,e\n", "line 3, column id: id a is used twice"),
        ("id,organization,service\n", "has no services"),
    ],
)
def test_rows_that_cannot_serve_are_refused(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "services.csv"
    path.write_text(rows)
    with pytest.raises(DirectoryError, match=message):
        read_services(path)


def test_a_missing_file_of_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="cannot read"):
        read_services(tmp_path / "none.csv")


@pytest.mark.parametrize("manifest", ["", "rows = 3", "[rows]", "[rows]\na = 1", "[rows"])
def test_a_manifest_without_rows_is_refused(manifest: str) -> None:
    with pytest.raises(DirectoryError, match=r"directory\.toml"):
        parse_manifest(manifest, "directory.toml", Path())
