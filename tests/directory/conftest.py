from pathlib import Path

import pytest

from dreamlab.directory.catalog import Catalog, open_directory
from dreamlab.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def kern(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return open_directory("kern", load_settings(home=tmp_path_factory.mktemp("home")))


@pytest.fixture(scope="session")
def kern_all(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return open_directory("kern-all", load_settings(home=tmp_path_factory.mktemp("home")))
