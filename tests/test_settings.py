import pytest

from dreamlab.errors import SettingsError
from dreamlab.settings import load_settings


def test_settings_come_from_the_environment_and_overrides_win(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DREAMLAB_DREAM_TASK_COUNT", "7")
    assert load_settings().dream_task_count == 7
    assert load_settings(dream_task_count=9).dream_task_count == 9


def test_an_unknown_override_is_named() -> None:
    with pytest.raises(SettingsError, match=r"dream_count.*dream_task_count"):
        load_settings(dream_count=3)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_settings().dream_task_count = 3  # type: ignore[misc]
