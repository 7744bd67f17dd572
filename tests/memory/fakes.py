"""A word-counting embedder, small records, and what the other processes of a test do."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from dreamlab.memory.store import MemoryStore, open_store
from dreamlab.records import Answer, Experience, Referral, Role, Task, TaskKind
from dreamlab.settings import load_settings

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


class WordEmbedder:
    """Texts that share words are near each other."""

    def __init__(self, name: str = "words", dimension: int = 64):
        self.name = name
        self.dimension = dimension

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.casefold()) or [""]:
                vectors[row, zlib.crc32(word.encode()) % self.dimension] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def experience(
    number: int = 1,
    question: str = "where is a warm meal",
    *,
    night: str = "2026-11-01",
    needs: tuple[str, ...] = ("food",),
    groups: tuple[str, ...] = (),
    place: str = "",
    verified: bool | None = True,
    days: float = 0,
    base: Referral | None = None,
    cited: tuple[str, ...] = ("row-1", "row-2"),
    kind: TaskKind = TaskKind.REFERRAL,
    reasons: tuple[str, ...] = (),
) -> Experience:
    expected = Referral(needs, groups, place)
    answers = (
        Answer(Role.TEAM, Referral(needs, groups, place, "", cited)),
        Answer(Role.BASE, base if base is not None else expected, version="3"),
    )
    return Experience(
        Task(f"t{number:04d}", question, kind, night, expected=expected),
        answers,
        NOON + timedelta(days=days),
        verified,
        1.0,
        reasons,
    )


def store_in(home: Path, *, name: str = "words", lock_timeout: float = 60.0) -> MemoryStore:
    return open_store(load_settings(home=home), WordEmbedder(name), lock_timeout=lock_timeout)


def batch(writer: int, number: int, size: int = 20) -> list[Experience]:
    first = (writer * 1000 + number) * size
    return [experience(first + i, f"question {first + i} of many") for i in range(size)]


def write_batches(home: Path, writer: int, batches: int) -> None:
    """Write own batches, and everybody's common one."""
    store = store_in(home)
    for number in range(batches):
        store.append(batch(writer, number))
        store.append(batch(9, 0))
    store.optimize()


def read_until_told(home: Path, pipe: Connection) -> None:
    """Count and recall over and over; send back whether the count ever fell, and the last one."""
    store, last, fell = store_in(home), 0, False
    pipe.send("ready")
    while not pipe.poll():
        seen = store.counts()["experience"]
        fell, last = fell or seen < last, seen
        found = [memory.id for memory in store.recall("question 7", limit=10)]
        fell = fell or len(found) != len(set(found))
    pipe.send((fell, store.counts()["experience"]))


def write_for_ever(home: Path, first: int, pipe: Connection) -> None:
    """Append batch after batch, telling of each that it is in, and optimise at times."""
    store = store_in(home)
    for number in range(first, 1000):
        store.append(batch(0, number))
        pipe.send(number)
        if number % 2:
            store.optimize()


def hold_the_lock(home: Path, pipe: Connection) -> None:
    """Be the writer until told to stop."""
    store = store_in(home)
    with store._writing():
        pipe.send("held")
        pipe.recv()
