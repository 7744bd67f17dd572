import os
from pathlib import Path

import pytest

from dreamlab.directory.catalog import (
    Catalog,
    import_directory,
    list_directories,
    open_directory,
    stamp,
)
from dreamlab.directory.phrases import load_phrases
from dreamlab.errors import DirectoryError, StorageError
from dreamlab.settings import Settings, load_settings

ROW = "{0},Hands,Service {0},food,seniors,,,Taft,,,,,,,,,\n"
HEADER = (
    "id,organization,service,resource_types,serves,description,address,city,zip,phone,url,hours,"
    "eligibility,how_to_apply,fees,source_url,source_date\n"
)


def rows(path: Path, *ids: str) -> Path:
    path.write_text(HEADER + "".join(ROW.format(each) for each in ids))
    return path


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_an_imported_directory_opens_by_its_name(settings: Settings, tmp_path: Path) -> None:
    report = import_directory(rows(tmp_path / "a.csv", "s1", "s2"), "my-county", settings)
    assert report.services == 2
    catalog = open_directory("my-county", settings)
    assert [service.id for service in catalog.services] == ["s1", "s2"]
    assert catalog.title == "my-county"
    assert list_directories(settings) == ("kern", "kern-all", "my-county")


def test_title_and_helpline_can_be_given(settings: Settings, tmp_path: Path) -> None:
    path = rows(tmp_path / "a.csv", "s1")
    import_directory(path, "mine", settings, title='The "Big" County', helpline="3-1-1")
    catalog = open_directory("mine", settings)
    assert (catalog.title, catalog.helpline) == ('The "Big" County', "3-1-1")


def test_the_shipped_directory_comes_back_unchanged(settings: Settings, kern: Catalog) -> None:
    assert kern.folder
    import_directory(kern.folder, "copy", settings)
    copy = open_directory("copy", settings)
    assert copy.fingerprint == kern.fingerprint
    assert (copy.title, copy.helpline) == (kern.title, kern.helpline)
    assert load_phrases(copy) == load_phrases(kern)


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", "-", "a_b", ".x", "é", "x" * 61])
def test_a_bad_name_is_refused(settings: Settings, tmp_path: Path, name: str) -> None:
    with pytest.raises(DirectoryError, match="letters, digits and dashes"):
        import_directory(rows(tmp_path / "a.csv", "s1"), name, settings)


def test_the_name_of_a_shipped_directory_is_taken(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match="kern is a directory of the package"):
        import_directory(rows(tmp_path / "a.csv", "s1"), "kern", settings)


def test_an_import_replaces_the_one_before(settings: Settings, tmp_path: Path) -> None:
    for each in ("s1", "s2", "s3", "s4"):
        import_directory(rows(tmp_path / "a.csv", each), "mine", settings)
        assert [s.id for s in open_directory("mine", settings).services] == [each]
    versions = [p for p in (settings.directories_path / "mine").iterdir() if p.is_dir()]
    assert len(versions) == 2


def test_a_catalog_open_during_an_import_keeps_its_files(
    settings: Settings, tmp_path: Path
) -> None:
    import_directory(rows(tmp_path / "a.csv", "s1"), "mine", settings)
    catalog = open_directory("mine", settings)
    import_directory(rows(tmp_path / "a.csv", "s2"), "mine", settings)
    assert catalog.folder
    assert (catalog.folder / "services.csv").is_file()


@pytest.mark.parametrize("broken", ["", HEADER, HEADER + "s2,only two\n", "\0\1\2"])
def test_a_broken_source_leaves_the_directory_in_place(
    settings: Settings, tmp_path: Path, broken: str
) -> None:
    import_directory(rows(tmp_path / "a.csv", "s1"), "mine", settings)
    before = snapshot(settings.home)
    (tmp_path / "a.csv").write_text(broken)
    with pytest.raises(DirectoryError):
        import_directory(tmp_path / "a.csv", "mine", settings)
    assert snapshot(settings.home) == before


def test_an_import_killed_half_way_leaves_the_directory_in_place(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import_directory(rows(tmp_path / "a.csv", "s1"), "mine", settings)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, killed)
            with pytest.raises(KeyboardInterrupt):
                import_directory(rows(tmp_path / "a.csv", "s2"), "mine", settings)
        assert [s.id for s in open_directory("mine", settings).services] == ["s1"]
    import_directory(rows(tmp_path / "a.csv", "s3"), "mine", settings)
    assert [s.id for s in open_directory("mine", settings).services] == ["s3"]


def test_a_data_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    settings = load_settings(home=tmp_path / "file")
    with pytest.raises(StorageError, match="cannot write"):
        import_directory(rows(tmp_path / "a.csv", "s1"), "mine", settings)


def test_a_damaged_pointer_or_folder_is_one_clear_line(settings: Settings, tmp_path: Path) -> None:
    import_directory(rows(tmp_path / "a.csv", "s1"), "mine", settings)
    pointer = settings.directories_path / "mine" / "current"
    for text in ("../../../etc", "", "00ff", "\0"):
        pointer.write_text(text)
        with pytest.raises(DirectoryError):
            open_directory("mine", settings)


def test_what_an_import_lists_no_longer_is_closed_until_it_comes_back(
    settings: Settings, tmp_path: Path
) -> None:
    def imported(*ids: str) -> Catalog:
        import_directory(rows(tmp_path / "a.csv", *ids), "mine", settings)
        return open_directory("mine", settings)

    assert imported("s1", "s2", "s3").closed == ()
    assert [service.id for service in imported("s2", "s4").closed] == ["s1", "s3"]
    again = imported("s1", "s4")
    assert [service.id for service in again.closed] == ["s2", "s3"]
    assert again.speaks_of_closed("the team cited s2")
    assert not again.speaks_of_closed("the team cited s1")
    assert [service.id for service in again.listed(["s4", "s2"])] == ["s4"]


def test_a_stamp_changes_with_the_files_and_with_nothing_else(
    settings: Settings, tmp_path: Path
) -> None:
    import_directory(rows(tmp_path / "a.csv", "s1"), "mine", settings)
    before, shipped = stamp("mine", settings), stamp("kern", settings)
    open_directory("mine", settings)
    assert stamp("mine", settings) == before
    import_directory(rows(tmp_path / "a.csv", "s1", "s2"), "mine", settings)
    imported = stamp("mine", settings)
    assert imported != before
    folder = open_directory("mine", settings).folder
    assert folder
    with (folder / "services.csv").open("a") as file:
        file.write(ROW.format("s3"))
    assert stamp("mine", settings) != imported
    assert stamp("kern", settings) == shipped
