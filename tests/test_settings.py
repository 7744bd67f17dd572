from pathlib import Path

import pytest

from dreamlab.errors import SettingsError
from dreamlab.settings import from_config, load_settings, to_environment

ORIGINAL = {
    "memory_path": "data/dreams",
    "training_data_path": "data/training",
    "min_examples_for_training": 40,
    "auto_schedule_dreams": False,
    "dream_time": "03:30",
    "dream_duration": 45,
    "dream_task_count": 3,
    "downtime_start_hour": 21,
    "downtime_end_hour": 5,
}
"""A configuration as applications of the first Dream Lab have it, every key of it."""


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


def test_every_key_of_the_original_configuration_is_honoured() -> None:
    settings = from_config(ORIGINAL)
    for name, value in ORIGINAL.items():
        expected = Path(str(value)).absolute() if name.endswith("_path") else value
        assert getattr(settings, name) == expected


def test_the_rest_of_the_settings_are_reachable_the_same_way(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DREAMLAB_DREAM_TASK_COUNT", "7")
    settings = from_config({"home": tmp_path, "dream_strategy": "breadth"})
    assert settings.dream_strategy == "breadth"
    assert settings.dream_task_count == 7
    assert settings.memory_path == tmp_path / "memory"


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"dream_cout": 3}, "dream_cout"),
        ({"dream_cout": 3, "sleep": 1}, "dream_cout, sleep"),
        ({"dream_time": "25:00"}, "dream_time"),
        ({"downtime_start_hour": 24}, "downtime_start_hour"),
        ({"dream_duration": "an hour"}, "dream_duration"),
        ({"api_tokens": "letmein"}, "DREAMLAB_API_TOKENS in the environment"),
        (["dream_time"], "dictionary"),
    ],
)
def test_a_bad_configuration_is_named(config: object, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as caught:
        from_config(config)  # type: ignore[arg-type]
    assert "letmein" not in str(caught.value)


def test_another_process_gets_the_same_settings_and_no_secret(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DREAMLAB_API_TOKENS", "not for children")
    settings = from_config({**ORIGINAL, "home": tmp_path, "remember_questions": True})
    variables = to_environment(settings)
    assert "not for children" not in str(variables)
    monkeypatch.delenv("DREAMLAB_API_TOKENS")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load_settings().model_dump(exclude={"api_tokens"}) == settings.model_dump(
        exclude={"api_tokens"}
    )


def test_the_embedded_base_model_cannot_do_without_its_book(monkeypatch):
    monkeypatch.setenv("DREAMLAB_OPEN_BOOK", "false")
    with pytest.raises(SettingsError, match=r"DREAMLAB_OPEN_BOOK.*chooses among what it reads"):
        load_settings()
    assert not load_settings(base_model="some/model").open_book
