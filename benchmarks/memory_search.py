"""How fast and how exact is recall at 100,000 memories?

    taskset -c 0,1 python benchmarks/memory_search.py

The memories are questions put together from the phrase bank of the directory (frames, needs,
situations, groups, English and Spanish), so they cluster as dreams do; every one is really
embedded, which takes some five minutes on two cores and is kept in --cache. The questions asked
are further ones of the same kind. Shown: p50 and p95 of `recall` as the team calls it, when the
question's embedding is at hand (a solve embeds it once for all roles) and with embedding it;
recall@10 of that hybrid search against the same search comparing every
vector; and recall@10 of plain vector ranking against NumPy's.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np
from rich.progress import track

from dreamlab.memory.recall import Weights
from dreamlab.memory.store import MemoryStore, open_store
from dreamlab.models.embedding import Embedder, open_embedder
from dreamlab.records import Answer, Experience, Referral, Role, Task, TaskKind
from dreamlab.settings import load_settings

PLACES = ("Northtown", "Easton", "Lakeside", "Old Mill", "Twin Oaks", "Desert Hills", "Riverbend")
START = datetime(2025, 1, 1, tzinfo=UTC)
BATCH = 2_000
FIELDS = {"need", "need2", "situation", "situation2", "group", "who", "place"}
DAY = timedelta(days=1)
VECTORS_ALONE = Weights(dense=1.0, recency=0.0, importance=0.0)


class Looked:
    """An embedder that has the vectors of the memories at hand and embeds what is new."""

    def __init__(self, real: Embedder, texts: Sequence[str], vectors: np.ndarray):
        self.name, self.dimension, self._real = real.name, real.dimension, real
        self._known = dict(zip(texts, vectors, strict=True))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of `texts`."""
        if all(text in self._known for text in texts):
            return np.stack([self._known[text] for text in texts])
        return self._real.embed(texts)


def invent(count: int, bank: dict[str, Any], rng: random.Random) -> dict[str, Referral]:
    """`count` distinct questions, each with what it is about."""
    invented: dict[str, Referral] = {}
    frames = {
        name: [frame for frame in frames if fields(frame) <= FIELDS]
        for name, frames in bank["frames"].items()
        if name[:3] in ("en_", "es_")
    }
    names = [name for name, usable in frames.items() if usable]
    needs, groups = list(bank["needs"]), list(bank["groups"])
    while len(invented) < count:
        name = rng.choice(names)
        frame, language = rng.choice(frames[name]), name[:2]
        (one, two), group, place = rng.sample(needs, 2), rng.choice(groups), rng.choice(PLACES)
        words, situations = f"words_{language}", f"situations_{language}"
        question = frame.format(
            need=rng.choice(bank["needs"][one][words]),
            need2=rng.choice(bank["needs"][two][words]),
            situation=rng.choice(bank["needs"][one][situations]),
            situation2=rng.choice(bank["needs"][two][situations]),
            group=rng.choice(bank["groups"][group][words]),
            who=rng.choice(bank["groups"][group][situations]),
            place=place,
        )
        invented[question] = Referral(
            needs=(one, two) if "2}" in frame else (one,),
            groups=(group,) if "{group}" in frame or "{who}" in frame else (),
            place=place if "{place}" in frame else "",
        )
    return invented


def fields(frame: str) -> set[str]:
    return {field for _, field, _, _ in Formatter().parse(frame) if field}


def experience(number: int, question: str, about: Referral, per_night: int) -> Experience:
    """An experience of the size that a night leaves."""
    night = START + number // per_night * DAY
    task = Task(
        f"t{number:06d}", question, TaskKind.REFERRAL, night.date().isoformat(), "en", about
    )
    cited = Referral(about.needs, about.groups, about.place, "", ("row-1", "row-2", "row-3"))
    text = "A service of the directory, its address, its telephone and its hours. " * 5
    answers = tuple(Answer(role, cited, text, notes=("fits the need",) * 3) for role in Role)
    return Experience(task, answers, night, verified=number % 4 > 0, score=1.0)


def embedded(texts: list[str], embedder: Embedder, cache: Path | None) -> np.ndarray:
    kept = cache / f"memory_search_{len(texts)}.npy" if cache else None
    if kept and kept.exists():
        return np.asarray(np.load(kept))
    starts = track(range(0, len(texts), BATCH), description="embedding the memories")
    vectors = np.concatenate([embedder.embed(texts[s : s + BATCH]) for s in starts])
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, vectors)
    return vectors


def timed(
    store: MemoryStore, embedder: Embedder, questions: Sequence[str], name: str, **filters: Any
) -> None:
    store.recall("to warm up", **filters)
    search, whole = [], []
    for question in questions:
        started = time.perf_counter()
        embedder.embed([question])  # it keeps the vectors of the last texts
        embedded = time.perf_counter()
        store.recall(question, **filters)
        search.append(time.perf_counter() - embedded)
        whole.append(time.perf_counter() - started)
    shown = (np.percentile(taken, p) * 1000 for taken in (search, whole) for p in (50, 95))
    form = "recall, {:22s} p50 {:5.1f} ms, p95 {:5.1f} ms; with embedding {:5.1f}, {:5.1f}"
    print(form.format(name, *shown))


def overlap(found: Sequence[Sequence[str]], exact: Sequence[Sequence[str]]) -> float:
    pairs = zip(found, exact, strict=True)
    return float(np.mean([len(set(f) & set(e)) / len(e) for f, e in pairs]))


def ids(store: MemoryStore, questions: Sequence[str], **options: Any) -> list[list[str]]:
    now = START + 400 * DAY
    return [[m.id for m in store.recall(q, limit=10, now=now, **options)] for q in questions]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--memories", type=int, default=100_000)
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--cache", type=Path, help="folder to keep the vectors in")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(home=Path(home))
        bank_file = files("dreamlab.directory") / "data" / settings.directory / "phrases.toml"
        bank = tomllib.loads(bank_file.read_text(encoding="utf-8"))
        invented = invent(options.memories + options.questions, bank, random.Random(0))
        texts = list(invented)
        memories, questions = texts[: options.memories], texts[options.memories :]
        embedder = open_embedder(settings)
        vectors = embedded(memories, embedder, options.cache)
        store = open_store(settings, Looked(embedder, memories, vectors))

        started = time.perf_counter()
        per_night = max(1, options.memories // 200)
        for start in track(range(0, len(memories), BATCH), description="remembering"):
            batch = enumerate(memories[start : start + BATCH], start)
            store.append(experience(i, text, invented[text], per_night) for i, text in batch)
        appended = time.perf_counter()
        store.optimize()
        optimized = time.perf_counter()
        print(f"{store.counts()['experience']} memories on {len(os.sched_getaffinity(0))} cores")
        print(f"appended in {appended - started:.1f} s, optimised in {optimized - appended:.1f} s")

        timed(store, embedder, questions, "five of all")
        last = store.nights()[-1]
        timed(
            store,
            embedder,
            [f"{q}." for q in questions],
            "before the last night",
            before_night=last,
        )
        need = next(iter(bank["needs"]))
        timed(store, embedder, [f"{q}?" for q in questions], f"about {need}", need=need)
        timed(store, embedder, [f"{q}!" for q in questions], "in one place", place=PLACES[0])

        hybrid = overlap(ids(store, questions), ids(store, questions, exact=True))
        order = np.argsort(-(embedder.embed(questions) @ vectors.T), axis=1)[:, :10]
        by_text = {e.task.question: e.id for e in store.experiences()}
        truth = [[by_text[memories[i]] for i in row] for row in order]
        dense = overlap(ids(store, questions, weights=VECTORS_ALONE), truth)
        print(f"recall@10 of the hybrid search against the same without index: {hybrid:.3f}")
        print(f"recall@10 ranked by vectors alone against NumPy:               {dense:.3f}")


if __name__ == "__main__":
    main()
