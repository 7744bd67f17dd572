"""Expected failures, one class for each boundary crossed. Each message is one line that names
the culprit and the remedy; a face (command line, web) prints it and exits with `exit_code`."""

from __future__ import annotations


class DreamLabError(Exception):
    """Any expected failure of the lab. The message is one line for a person to read."""

    exit_code = 1


class SettingsError(DreamLabError):
    """A setting is unknown, of the wrong type or out of range."""

    exit_code = 2


class QuestionError(DreamLabError):
    """A question cannot be asked as it stands: empty, or far too long."""

    exit_code = 2


class DirectoryError(DreamLabError):
    """A directory is missing, broken or empty."""


class StorageError(DreamLabError):
    """The data folder cannot be written or read: rights, space, a lock."""


class RecallError(DreamLabError):
    """The memory store refuses or fails: another embedding model, a damaged table."""


class ModelError(DreamLabError):
    """A model cannot be loaded: missing, corrupt, not in safetensors."""


class LanguageModelError(DreamLabError):
    """A language model's endpoint fails, or what it answers cannot be used. `code` is the reason
    code that marks the offline answer which stands in."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class TrainingError(DreamLabError):
    """A training cannot run or did not finish."""


class RegistryError(DreamLabError):
    """The model registry has not got what was asked for, or cannot be reached."""


class WindowClosed(DreamLabError):
    """The clock is outside the downtime window."""

    exit_code = 3


class Drained(WindowClosed):
    """The window closed while work was under way; what was done is kept and resumed."""


class NightError(DreamLabError):
    """A night cannot be dreamt or came out empty."""


class NothingToDo(NightError):
    """A run that is in order and has nothing to do: done already, not due, under way elsewhere."""


class SchedulerError(DreamLabError):
    """The Prefect server, a deployment or a service of the lab is missing or refuses."""


class UnderWay(DreamLabError):
    """What was asked for is under way already, here or in another process."""

    exit_code = 4


class MissingExtra(DreamLabError):
    """What was asked for needs libraries that are installed as an extra."""
