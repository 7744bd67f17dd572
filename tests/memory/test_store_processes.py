"""Several processes on one store: readers beside writers, writers in turn, a writer killed."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from dreamlab.errors import StorageError
from tests.memory.fakes import (
    batch,
    experience,
    hold_the_lock,
    read_until_told,
    store_in,
    write_batches,
    write_for_ever,
)

SPAWN = multiprocessing.get_context("spawn")
WRITERS, READERS, BATCHES = 3, 2, 4


def started(job: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """A process running `job(*arguments, pipe)`, and our end of the pipe."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=job, args=(*arguments, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def test_several_writers_and_readers_lose_and_double_nothing(tmp_path: Path) -> None:
    readers = [started(read_until_told, tmp_path) for _ in range(READERS)]
    assert [pipe.recv() for _, pipe in readers] == ["ready"] * READERS
    writers = [
        SPAWN.Process(target=write_batches, args=(tmp_path, n, BATCHES)) for n in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * WRITERS

    expected = {e.id for w in range(WRITERS) for n in range(BATCHES) for e in batch(w, n)}
    expected |= {e.id for e in batch(9, 0)}
    for process, pipe in readers:
        pipe.send("stop")
        assert pipe.recv() == (False, len(expected))
        process.join()
    stored = [e.id for e in store_in(tmp_path).experiences()]
    assert stored == sorted(expected)


def test_a_writer_killed_at_any_moment_leaves_whole_batches_and_a_readable_store(
    tmp_path: Path,
) -> None:
    told = -1
    for batches_before_the_kill in (0, 1, 5):
        process, pipe = started(write_for_ever, tmp_path, told + 1)
        for _ in range(batches_before_the_kill):
            told = pipe.recv()
        if batches_before_the_kill == 0:  # killed while it makes the store
            while not (tmp_path / "memory").exists():
                pass
        process.kill()
        process.join()
        store = store_in(tmp_path)
        count = store.counts()["experience"]
        assert count % len(batch(0, 0)) == 0
        ids = [e.id for e in store.experiences()]
        assert len(set(ids)) == len(ids) == count
        assert {e.id for n in range(told + 1) for e in batch(0, n)} <= set(ids)
        assert len(store.recall("question", limit=3)) == min(3, count)
    store.append([e for n in range(told + 2) for e in batch(0, n)])
    store.optimize()
    ids = [e.id for e in store.experiences()]
    assert len(set(ids)) == len(ids)
    assert {e.id for n in range(told + 2) for e in batch(0, n)} <= set(ids)


def test_a_writer_that_waits_too_long_names_who_holds_the_lock(tmp_path: Path) -> None:
    process, pipe = started(hold_the_lock, tmp_path)
    assert pipe.recv() == "held"
    store = store_in(tmp_path, lock_timeout=0.05)
    with pytest.raises(StorageError, match=rf"by process {process.pid} on .* wait for it"):
        store.append([experience()])
    assert store.counts()["experience"] == 0
    process.kill()
    process.join()
    assert store.append([experience()]) == 1
