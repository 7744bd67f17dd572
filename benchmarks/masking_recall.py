"""How much of the personal data in questions is masked, how much else, and what it costs.

    python benchmarks/masking_recall.py
    python benchmarks/masking_recall.py --others      (beside whichever other libraries are there)

Counts, over invented questions in English and Spanish (benchmarks/masking/), the names, numbers
and addresses of which every letter and digit is masked, a title such as "Mrs." aside; and the
questions without any in which something is masked all the same, those of the benchmark among
them. The lines of `seen.txt` were looked at while the masker was made, those of `unseen.txt` not.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from dreamlab.lab import Lab
from dreamlab.settings import load_settings

PARTS = ("seen", "unseen")
FOLDER = Path(__file__).parent / "masking"
MARKED = re.compile(r"\{(\w+)\|([^}]*)\}")
TITLE = re.compile(r"^(?:(?:mr|mrs|ms|dr|rev|sr|sra|don|doña|la)\.? )", re.IGNORECASE)

Spans = Sequence[tuple[int, int]]
Find = Callable[[str], Spans]


class Value(NamedTuple):
    """Personal data in a question: its kind and its place."""

    kind: str
    start: int
    end: int


class Question(NamedTuple):
    """A question of the test list: the part it belongs to, its language, text and personal data."""

    part: str
    language: str
    text: str
    values: tuple[Value, ...]


def read(name: str) -> list[Question]:
    """The questions of one file."""
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    found = []
    for line in (line for line in lines if line and not line.startswith("#")):
        language, marked = line.split(" ", 1)
        text, values, at = "", [], 0
        for mark in MARKED.finditer(marked):
            text += marked[at : mark.start()]
            title = TITLE.match(mark[2]) if mark[1] == "name" else None
            start = len(text) + (title.end() if title else 0)
            values.append(Value(mark[1], start, len(text) + len(mark[2])))
            text += mark[2]
            at = mark.end()
        found.append(Question(name, language, text + marked[at:], tuple(values)))
    return found


def measure(name: str, find: Find, questions: Sequence[Question], others: Sequence[str]) -> None:
    """Print recall by kind and part, false alarms, and milliseconds a question."""
    hit: Counter[tuple[str, str]] = Counter()
    total: Counter[tuple[str, str]] = Counter()
    false: Counter[str] = Counter()
    plain: Counter[str] = Counter()
    times = []
    for question in questions:
        start = time.perf_counter()
        found = find(question.text)
        times.append((time.perf_counter() - start) * 1000)
        covered = {c for begin, end in found for c in range(begin, end)}
        for value in question.values:
            whole = all(
                c in covered for c in range(value.start, value.end) if question.text[c].isalnum()
            )
            kinds = [value.kind, "all"]
            kinds += [f"name, {question.language}"] if value.kind == "name" else []
            for kind in kinds:
                total[kind, question.part] += 1
                hit[kind, question.part] += whole
        if not question.values:
            plain[question.part] += 1
            false[question.part] += bool(found)
    print(f"\n{name}\n\n| masked | seen | unseen |\n|---|---|---|")
    for kind in (
        "name",
        "name, en",
        "name, es",
        "phone",
        "email",
        "ssn",
        "case",
        "address",
        "birth",
        "all",
    ):
        cells = (f"{hit[kind, part]} of {total[kind, part]}" for part in PARTS)
        print(f"| {kind} | {' | '.join(cells)} |")
    cells = (f"{false[part]} of {plain[part]}" for part in PARTS)
    print(f"| questions without any, masked all the same | {' | '.join(cells)} |")
    wrong = sum(bool(find(text)) for text in others)
    ordered = sorted(times)
    print(
        f"\nof {len(others)} benchmark questions (no personal data) {wrong} are masked; "
        f"a question takes {statistics.median(ordered):.2f} ms, "
        f"p95 {ordered[int(len(ordered) * 0.95)]:.2f} ms"
    )


def presidio() -> Find:
    """Presidio's own recognisers over a blank tokeniser; names would need a model from a hub."""
    import spacy
    from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    class Blank(SpacyNlpEngine):
        def __init__(self) -> None:
            super().__init__(models=[])
            self.nlp = {"en": spacy.blank("en")}

        def load(self) -> None: ...

        def is_loaded(self) -> bool:
            return True

    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"])
    engine = AnalyzerEngine(nlp_engine=Blank(), registry=registry, supported_languages=["en"])
    kinds = set(engine.get_supported_entities("en")) - {"URL", "DATE_TIME"}
    return lambda text: [
        (one.start, one.end)
        for one in engine.analyze(text, language="en", entities=list(kinds), score_threshold=0.3)
    ]


def scrubadub() -> Find:
    """scrubadub's default detectors."""
    import scrubadub as library

    scrubber = library.Scrubber()
    return lambda text: [(one.beg, one.end) for one in scrubber.iter_filth(text)]


def datafog() -> Find:
    """datafog's regular expressions."""
    import datafog as library

    return lambda text: [(e.start, e.end) for e in library.scan(text, engine="regex").entities]


def main() -> None:
    """Measure the lab's masker, and others beside it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--others", action="store_true", help="measure other libraries as well")
    options = parser.parse_args()
    lab = Lab(load_settings())
    questions = [q for name in PARTS for q in read(name)]
    others = [q.question for q in lab.benchmark.questions]
    start = time.perf_counter()
    masker = lab.masker
    print(f"opened in {time.perf_counter() - start:.2f} s, directory included")
    measure("Dream Lab", lambda t: [(f.start, f.end) for f in masker.find(t)], questions, others)
    for library in (presidio, scrubadub, datafog) if options.others else ():
        try:
            measure(library.__name__, library(), questions, others)
        except ImportError:
            print(f"\n{library.__name__} is not installed")


if __name__ == "__main__":
    main()
