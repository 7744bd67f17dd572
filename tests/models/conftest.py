import pytest

from dreamlab.models.completion import CompletionFormat
from dreamlab.settings import Settings

FORMAT = CompletionFormat(("food", "housing"), ("seniors", "veterans"), ("Delano", "Taft"))


@pytest.fixture(scope="session")
def completion_format():
    return FORMAT


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    return Settings(home=tmp_path_factory.mktemp("home"), threads=1)


@pytest.fixture(scope="session")
def start(completion_format):
    from dreamlab.models.minilm_decoder import EmbeddedModel

    return EmbeddedModel(completion_format)
