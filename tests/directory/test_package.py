import zipfile
from pathlib import Path

import pytest

from dreamlab.directory.package import Package, open_package
from dreamlab.errors import DirectoryError


def archive(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)
    return path


def one(data: bytes) -> Package:
    return Package("x", {"x.csv": lambda: data})


def test_a_folder_a_zip_and_a_file_hold_the_same(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "a.csv").write_text("id\n")
    (tmp_path / "in" / "photo.jpg").write_bytes(b"no")
    (tmp_path / "in" / ".hidden.csv").write_text("no")
    zipped = archive(tmp_path / "a.zip", {"deep/a.csv": b"id\n", "__MACOSX/a.csv": b"no"})
    for path in (tmp_path / "in", zipped, tmp_path / "in" / "deep" / "a.csv"):
        package = open_package(path)
        assert package.files == ("a.csv",)
        assert package.text("a.csv") == "id\n"


def test_files_lie_below_the_datapackage(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "a.zip",
        {"x/datapackage.json": b"{}", "x/data/a.csv": b"", "x/data/b.csv": b"", "y/c.csv": b""},
    )
    assert open_package(path).files == ("data/a.csv", "data/b.csv", "datapackage.json")


@pytest.mark.parametrize(
    "name", ["../a.csv", "/etc/a.csv", "a/../../b.csv", "..\\a.csv", "C:/a.csv"]
)
def test_a_zip_that_reaches_outside_itself_is_refused(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "slip.zip", {name: b"id\n", "b.csv": b"id\n"})
    with pytest.raises(DirectoryError, match="reaches outside itself"):
        open_package(path)


def test_a_zip_that_swells_absurdly_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "bomb.zip", {"a.csv": b"0" * (30 << 20)})
    with pytest.raises(DirectoryError, match="would swell"):
        open_package(path)


def test_a_truncated_or_damaged_zip_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.csv": bytes(range(1, 128)) * 50})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DirectoryError, match="no intact zip"):
        open_package(path)
    path.write_bytes(data[:60] + b"XXXX" + data[64:])
    with pytest.raises(DirectoryError, match="damaged"):
        open_package(path).text("a.csv")


def test_nothing_to_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="holds no CSV or JSON"):
        open_package(tmp_path)
    with pytest.raises(DirectoryError, match="does not exist"):
        open_package(tmp_path / "none")


def test_texts_are_read_with_or_without_a_mark() -> None:
    for data in ("é".encode(), "é".encode("utf-8-sig"), "é".encode("utf-16")):
        package = one(data)
        assert package.text("x.csv") == "é"
        assert package.remarks == []


def test_windows_1252_is_read_and_remarked_once() -> None:
    package = one("id\nCaf\u00e9 \u201cB\u201d".encode("cp1252"))
    assert package.text("x.csv") == package.text("x.csv") == "id\nCafé \u201cB\u201d"
    assert package.remarks == [
        "x.csv line 2 column 4: not UTF-8; the file was read as Windows-1252"
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"id\nab\x00c", "x.csv line 2 column 3: a NUL byte"),
        (b"id\n\xff\x81", "x.csv line 2 column 2: not cp1252 text"),
        (b"\xff\xfea", "x.csv line 1 column"),
    ],
)
def test_what_is_no_text_is_named_by_line_and_column(data: bytes, message: str) -> None:
    with pytest.raises(DirectoryError) as error:
        one(data).text("x.csv")
    assert message in str(error.value)
