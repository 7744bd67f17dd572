"""The LanceDB door: one append-only table of memories in a folder, for several processes.

Every row is keyed by its kind, night and task: what is already there is not added again. Writers
take turns by a file lock, readers never wait. It embeds and searches; what a search result is
worth is decided in `recall`. It changes no row, and deletes one only to forget it for good.
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import shutil
import socket
import threading
import warnings
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from dreamlab.errors import DreamLabError, RecallError, StorageError
from dreamlab.memory.codec import Row, experience_row, reflection_row
from dreamlab.memory.recall import Filters, Hit, Weights, merge, quote, rank
from dreamlab.models.embedding import Embedder
from dreamlab.records import Experience, Memory, MemoryKind, Reflection, from_json
from dreamlab.settings import Settings

TABLE = "memories"
FORMAT = "1"
CANDIDATES = 24
"""Rows that each of the two searches hands to the ranking, at least."""

FLAT_BELOW = 20_000
"""Rows from which an index pays; below, every vector is compared."""

PARTITIONS_AT_MOST = 256
PROBES = 24
"""Partitions read for one question; at 100,000 rows 24 of 256 hold .98 of the nearest ten."""

FRAGMENTS_AT_MOST = 64
"""Appends after which the table is compacted even before the night ends."""

KEEP_VERSIONS = timedelta(hours=1)
"""Older versions of the table are removed; a reader that began within it is safe."""

LOCK_SECONDS = 60.0
QUERY_CHARACTERS = 2_000
"""Longest part of a question that full text looks at."""


def open_store(
    settings: Settings, embedder: Embedder, *, lock_timeout: float = LOCK_SECONDS
) -> MemoryStore:
    """The store in `settings.memory_path`; nothing is written before the first append.

    Raises:
        RecallError: the store there was made with another embedding model or dimension, or is
            damaged.
        StorageError: the folder cannot be read.
    """
    return MemoryStore(settings.memory_path, embedder, lock_timeout=lock_timeout)


class MemoryStore:
    """Experiences, reflections and insights, found again by hybrid search.

    Safe to share between threads; each process opens its own. `lock_timeout` is how long a
    writer waits for another one, in seconds.
    """

    def __init__(self, path: Path, embedder: Embedder, *, lock_timeout: float = LOCK_SECONDS):
        self.path = path
        self.embedder = embedder
        self.lock_timeout = lock_timeout
        self._opened: Any = None
        self._opening = threading.Lock()
        self._search: _Search | None = None
        with self._reading():
            self._table()

    def append(self, experiences: Iterable[Experience]) -> int:
        """Remember experiences, in one batch; the number that were not there yet.

        Raises:
            StorageError: the folder cannot be written, the disk is full, or another writer
                holds the lock for longer than `lock_timeout`.
        """
        return self._append([experience_row(e) for e in experiences])

    def append_reflections(self, reflections: Iterable[Reflection]) -> int:
        """Remember reflections and insights, as `append` does experiences."""
        return self._append([reflection_row(r) for r in reflections])

    def experiences(
        self, *, night: str | None = None, verified: bool | None = None
    ) -> list[Experience]:
        """The experiences of a night, or of all, in order of night and task id."""
        where = Filters(kinds=(MemoryKind.EXPERIENCE,), night=night, verified=verified).where()
        with self._reading():
            found = [from_json(Experience, text) for text in self._column("record", where)]
        return sorted(found, key=lambda e: (e.task.night, e.task.id))

    def reflections(
        self, *, night: str | None = None, kind: MemoryKind | None = None
    ) -> list[Reflection]:
        """Reflections, insights or both of a night, or of all, in order of night, kind and id."""
        kinds = (kind,) if kind else (MemoryKind.REFLECTION, MemoryKind.INSIGHT)
        where = Filters(kinds=kinds, night=night).where()
        with self._reading():
            found = [from_json(Reflection, text) for text in self._column("record", where)]
        return sorted(found, key=lambda r: (r.night, r.kind, r.id))

    def nights(self) -> tuple[str, ...]:
        """Every night that has a row, in order."""
        with self._reading():
            return tuple(sorted({night for night in self._column("night") if night}))

    def counts(self) -> dict[str, int]:
        """Rows of each kind, and `verified` experiences."""
        with self._reading():
            kinds = Counter(self._column("kind"))
            verified = len(self._column("kind", Filters(verified=True).where()))
        return {**{kind.value: kinds[kind.value] for kind in MemoryKind}, "verified": verified}

    def recall(
        self,
        text: str,
        *,
        limit: int = 5,
        kinds: Sequence[MemoryKind] | None = None,
        night: str | None = None,
        before_night: str | None = None,
        need: str | None = None,
        group: str | None = None,
        place: str | None = None,
        now: datetime | None = None,
        weights: Weights | None = None,
        exact: bool = False,
    ) -> list[Memory]:
        """The `limit` memories most relevant to `text`, best first.

        Hybrid search: vectors and full text, weighted by recency (as of `now`) and importance.
        The filters keep rows of one of `kinds`, of one night or before a night, and about a
        need, group or place. `exact` compares every vector instead of using the index.

        Raises:
            RecallError: the store is damaged.
        """
        filters = Filters(
            kinds=None if kinds is None else tuple(kinds),
            night=night,
            before_night=before_night,
            need=need,
            group=group,
            place=place,
        )
        with self._reading():
            search = self._search if self._table() is not None else None
        if search is None or limit < 1:
            return []
        wanted, where = max(CANDIDATES, 2 * limit), filters.where()
        with self._reading():
            lexical = search.begin(_lexical(search.table, text, wanted, where))  # while we embed
        vector = self.embedder.embed([text])[0]
        with self._reading():
            dense = search.begin(_dense(search.table, vector, wanted, where, exact))
            hits = merge(_dense_hits(dense.result()), _lexical_hits(lexical.result(), vector))
            return rank(hits, now=now or datetime.now(UTC), limit=limit, weights=weights)

    def optimize(self) -> None:
        """Compact the table, bring its indices up to date, drop old versions: after a night.

        Raises:
            StorageError: as `append` does.
        """
        with self._writing():
            table = self._table()
            if table is not None:
                _optimize(table)

    def forget(self, records: Iterable[Experience | Reflection]) -> int:
        """Remove these rows so that no file holds them any more; the number that were there.

        The table is written anew without them and every older version of it removed at once: a
        question that another process asks at that very moment may fail.

        Raises:
            StorageError: as `append` does.
        """
        keys = {_key(record) for record in records}
        with self._writing():
            table = self._table()
            if table is None or not keys:
                return 0
            forgotten = _without(table, keys)
            _optimize(table)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # LanceDB's: older versions are gone, as they must
                table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
        return forgotten

    def _append(self, rows: list[Row]) -> int:
        with self._reading():
            new = self._unknown(rows)
        if not new:
            return 0
        vectors = self.embedder.embed([row.text for row in new])
        with self._writing():
            table = self._table()
            if table is None:  # not "or": a table without rows is false
                table = self._create()
            unknown = {row.key for row in self._unknown(new)}  # others may have written meanwhile
            kept = [i for i, row in enumerate(new) if row.key in unknown]
            if kept:
                table.add(_arrow([new[i] for i in kept], vectors[kept]))
            if table.stats()["fragment_stats"]["num_small_fragments"] > FRAGMENTS_AT_MOST:
                _optimize(table)
        return len(kept)

    def _unknown(self, rows: list[Row]) -> list[Row]:
        """The rows whose keys are not stored yet, each key once."""
        nights = ", ".join(sorted({quote(row.night) for row in rows}))
        known = set(self._column("key", f"night IN ({nights})")) if rows else set()
        new: dict[str, Row] = {}
        for row in rows:
            if row.key not in known:
                new.setdefault(row.key, row)
        return list(new.values())

    def _column(self, name: str, where: str = "") -> list[Any]:
        table = self._table()
        if table is None:
            return []
        found = table.search().select([name])
        return list((found.where(where) if where else found).to_arrow()[name].to_pylist())

    def _table(self) -> Any:
        """The table, opened at first use; None while there is none."""
        if self._opened is None and self._folder.is_dir():
            with self._opening:
                if self._opened is None:
                    self._opened = self._open()
        return self._opened

    @property
    def _folder(self) -> Path:
        return self.path / f"{TABLE}.lance"

    def _open(self) -> Any:
        table = _connect(self.path).open_table(TABLE)
        metadata, ours = table.schema.metadata or {}, self._made()
        theirs = {name: metadata.get(name.encode(), b"?").decode() for name in ours}
        if theirs != ours:
            raise RecallError(
                f"memory in {self.path} was made with {_described(theirs)}, not "
                f"{_described(ours)}: set DREAMLAB_EMBEDDING_MODEL={theirs['embedding_model']}, "
                "or give another DREAMLAB_HOME to begin a new memory"
            )
        self._search = _Search(self.path)
        return table

    def _made(self) -> dict[str, str]:
        return {
            "format": FORMAT,
            "embedding_model": self.embedder.name,
            "dimension": str(self.embedder.dimension),
        }

    def _create(self) -> Any:
        """An empty table with its indices, made aside and moved into place: all of it or none."""
        aside = self.path / ".new"
        shutil.rmtree(aside, ignore_errors=True)
        table = _connect(aside).create_table(TABLE, schema=_schema(self._made()))
        _index(table)
        os.replace(aside / self._folder.name, self._folder)
        shutil.rmtree(aside, ignore_errors=True)
        return self._table()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, ValueError) as error:  # all that LanceDB raises
            raise _failure(error, self.path) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """The writer's turn: one at a time over all threads and processes."""
        from filelock import FileLock, Timeout

        holder = self.path / "writer"
        with self._reading():
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                with FileLock(self.path / "writer.lock", timeout=self.lock_timeout):
                    holder.write_text(f"process {os.getpid()} on {socket.gethostname()}")
                    yield
            except Timeout:
                name = holder.read_text() if holder.exists() else "another process"
                raise StorageError(
                    f"memory in {self.path} is being written by {name} for over "
                    f"{self.lock_timeout:g} s: wait for it, or end it if it hangs"
                ) from None


def _connect(path: Path) -> Any:
    os.environ.setdefault("LANCE_LOG", "error")
    import lancedb

    return lancedb.connect(path, read_consistency_interval=timedelta(0))


def _schema(made: dict[str, str]) -> Any:
    import pyarrow as pa

    return pa.schema(
        {
            "key": pa.string(),
            "kind": pa.string(),
            "night": pa.string(),
            "text": pa.string(),
            "needs": pa.list_(pa.string()),
            "groups": pa.list_(pa.string()),
            "place": pa.string(),
            "verified": pa.bool_(),
            "importance": pa.float64(),
            "created_at": pa.timestamp("us", tz="UTC"),
            "record": pa.string(),
            "vector": pa.list_(pa.float32(), int(made["dimension"])),
        },
        metadata=made,
    )


def _small_indices() -> dict[str, Any]:
    """Full text, and one for each filter; English stemming does no harm to Spanish."""
    from lancedb.index import FTS, Bitmap, BTree, LabelList

    return {
        "text": FTS(base_tokenizer="simple", language="English", ascii_folding=True),
        "night": BTree(),
        "kind": Bitmap(),
        "place": Bitmap(),
        "needs": LabelList(),
        "groups": LabelList(),
    }


def _arrow(rows: list[Row], vectors: np.ndarray) -> Any:
    import pyarrow as pa

    made = {"dimension": str(vectors.shape[1])}
    schema = _schema(made).remove_metadata()
    columns = {name: [getattr(row, name) for row in rows] for name in schema.names[:-1]}
    flat = pa.array(vectors.astype(np.float32).ravel())
    vector = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
    return pa.table({**columns, "vector": vector}, schema=schema)


def _index(table: Any) -> None:
    """Make the small indices that are not there: a new table has none, nor one written anew."""
    present = {column for index in table.list_indices() for column in index.columns}
    for column, index in _small_indices().items():
        if column not in present:
            table.create_index(column, config=index)


def _key(record: Experience | Reflection) -> str:
    if isinstance(record, Experience):
        return experience_row(record).key
    return reflection_row(record).key


def _without(table: Any, keys: set[str]) -> int:
    """Write the table anew without the rows of these keys; the number left out.

    Deleted rows would stay in their files until compaction finds a tenth of a file deleted.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = table.to_arrow()
    kept = rows.filter(pc.invert(pc.is_in(rows["key"], pa.array(sorted(keys)))))
    if len(kept) < len(rows):
        table.add(kept, mode="overwrite")
    return len(rows) - len(kept)


def _optimize(table: Any) -> None:
    """Compact and index, the vectors by IVF_FLAT once there are enough of them."""
    from lancedb.index import IvfFlat

    _index(table)
    table.optimize(cleanup_older_than=KEEP_VERSIONS)
    rows = table.count_rows()
    if rows < FLAT_BELOW:
        return
    partitions = min(PARTITIONS_AT_MOST, isqrt(rows))
    index = IvfFlat(
        distance_type="cosine", num_partitions=partitions, sample_rate=64, max_iterations=20
    )
    table.create_index("vector", config=index, replace=True)


class _Search:
    """The table's asynchronous face, on a thread of its own, so that two searches run at once.

    It also takes a third less time than the blocking one, which crosses threads six times.
    """

    def __init__(self, path: Path):
        self._loop = asyncio.new_event_loop()
        thread = threading.Thread(target=self._loop.run_forever, name="recall", daemon=True)
        thread.start()
        self.table = self.begin(self._open(path)).result()

    def begin(self, search: Coroutine[Any, Any, Any]) -> Future[Any]:
        """Start a search; its result comes as a future."""
        return asyncio.run_coroutine_threadsafe(search, self._loop)

    async def _open(self, path: Path) -> Any:
        import lancedb

        connection = await lancedb.connect_async(path, read_consistency_interval=timedelta(0))
        return await connection.open_table(TABLE)


async def _dense(table: Any, vector: np.ndarray, limit: int, where: str, exact: bool) -> Any:
    query = table.query().nearest_to(vector).distance_type("cosine").limit(limit)
    query = query.maximum_nprobes(0).minimum_nprobes(PROBES)  # 0: on until `limit` rows pass
    if exact:
        query = query.bypass_vector_index()
    return await _found(query, where, "_distance")


async def _lexical(table: Any, text: str, limit: int, where: str) -> Any:
    query = table.query().nearest_to_text(text[:QUERY_CHARACTERS], columns="text").limit(limit)
    return await _found(query, where, "vector", "_score")


async def _found(query: Any, where: str, *extra: str) -> Any:
    columns = ["key", "record", "importance", "created_at", *extra]
    return await (query.where(where) if where else query).select(columns).to_arrow()


def _dense_hits(found: Any) -> list[Hit]:
    return _hits(found, (1 - found["_distance"].to_numpy()).tolist(), [0.0] * len(found))


def _lexical_hits(found: Any, vector: np.ndarray) -> list[Hit]:
    vectors = found["vector"].combine_chunks().flatten().to_numpy().reshape(-1, len(vector))
    return _hits(found, (vectors @ vector).tolist(), found["_score"].to_pylist())


def _hits(found: Any, cosines: list[float], scores: list[float]) -> list[Hit]:
    names = ("key", "record", "importance", "created_at")
    columns = [found[name].to_pylist() for name in names]
    return [Hit(*row) for row in zip(*columns, cosines, scores, strict=True)]


def _described(made: dict[str, str]) -> str:
    return "embedding model {embedding_model} of {dimension} dimensions (format {format})".format(
        **made
    )


STORAGE_ERRORS = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EFBIG", "EIO", "ENOTDIR")
}


def _failure(error: Exception, path: Path) -> DreamLabError:
    """The error of ours that one of LanceDB or the file system amounts to."""
    told = re.search(r"([^:]*) \(os error (\d+)\)", str(error))
    number = getattr(error, "errno", None) or (int(told[2]) if told else None)
    if number in STORAGE_ERRORS or isinstance(error, OSError):
        reason = os.strerror(number) if number else str(error)
        return StorageError(
            f"cannot use memory in {path}: {reason}; check the folder's rights and free space, "
            "or set DREAMLAB_HOME to another"
        )
    line = " ".join(str(error).split())[:200]
    return RecallError(
        f"memory in {path} is damaged ({line}): restore the folder from a backup, or move it "
        "away to begin a new one"
    )
