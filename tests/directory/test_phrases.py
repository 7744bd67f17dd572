from pathlib import Path

import pytest

from dreamlab.directory.catalog import Catalog
from dreamlab.directory.phrases import PhraseBank, load_phrases, read_phrases
from dreamlab.errors import DirectoryError
from dreamlab.records import FACT_FIELDS, Service


def test_the_shipped_bank_speaks_of_every_facet_in_both_languages(kern: Catalog) -> None:
    bank = load_phrases(kern)
    assert set(bank.needs) == set(kern.needs)
    assert set(bank.groups) == set(kern.groups)
    for phrases in (*bank.needs.values(), *bank.groups.values()):
        for language in ("en", "es"):
            assert phrases.words[language]
            assert phrases.situations[language]
    assert set(bank.facts) == set(FACT_FIELDS) - {"description"}
    assert all(bank.facts[field][lang] for field in bank.facts for lang in ("en", "es"))
    assert bank.frames["en_need"]
    assert bank.frames["es_need"]
    for part in (bank.explain, bank.outside, bank.elsewhere):
        assert part["en"]
        assert part["es"]
    assert bank.elsewhere_words


def test_a_directory_without_a_bank_borrows_for_equally_named_facets() -> None:
    row = Service("1", "o", "s", needs=("Food", "stargazing"), groups=("Seniors",), place="Fresno")
    bank = load_phrases(Catalog("mine", (row,)))
    assert set(bank.needs) == {"Food"}
    assert set(bank.groups) == {"Seniors"}
    assert bank.needs["Food"].words["en"]
    assert bank.frames
    assert "Fresno" not in bank.elsewhere_words


def test_a_bank_beside_the_rows_comes_first(tmp_path: Path) -> None:
    (tmp_path / "phrases.toml").write_text('[needs."food"]\nwords_en = ["grub"]\n')
    bank = load_phrases(Catalog("mine", (Service("1", "o", "s", ("food",)),), folder=tmp_path))
    assert bank.needs["food"].words == {"en": ("grub",)}
    assert bank == PhraseBank(needs=bank.needs)


@pytest.mark.parametrize(
    "text",
    ["[needs", "needs = 3", "[needs.food]\nwords_en = 'grub'", "[frames]\nen_need = [1]", "\xff"],
)
def test_a_broken_bank_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "phrases.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DirectoryError, match=r"phrases\.toml"):
        read_phrases(path)


def test_a_place_that_the_directory_has_by_now_is_no_place_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "phrases.toml").write_text('[elsewhere]\nwords = ["Fresno", "Visalia"]\n')
    rows = [Service("a", "b", "c", place="Visalia")]
    assert load_phrases(Catalog("x", rows, folder=tmp_path)).elsewhere_words == ("Fresno",)
