import pytest

from dreamlab.directory.words import STOP_WORDS, content_words, word_list, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("¿Dónde está el Teléfono?", ["donde", "esta", "el", "telefono"]),
        ("H.E.A.R.T.S. Connection", ["hearts", "connection"]),
        ("Boys & Girls Clubs", ["boys", "and", "girls", "clubs"]),
        ("Alzheimer's, Alzheimer\u2019s", ["alzheimers", "alzheimers"]),
        ("Dial-A-Ride 24/7", ["dial", "a", "ride", "24", "7"]),
        ("", []),
    ],
)
def test_words_are_plain(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_content_words_leave_out_what_says_nothing() -> None:
    assert content_words("where can I get some food, por favor") == ["food"]


def test_the_lists_of_words_are_plain_and_disjoint_from_stop_words() -> None:
    for name in ("ordinary", "service"):
        listed = word_list(name)
        assert len(listed) > 300
        assert all(words(word) == [word] for word in listed)
        assert not listed & STOP_WORDS
