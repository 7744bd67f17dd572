from __future__ import annotations

from pathlib import Path

import pytest

from dreamlab.memory.store import MemoryStore
from tests.memory.fakes import store_in


@pytest.fixture
def store(tmp_path: Path) -> MemoryStore:
    return store_in(tmp_path)
