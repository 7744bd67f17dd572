"""In which format the base model answers best: trained on the same dreams, scored on one half.

    python benchmarks/formats.py --home DIR --json FILE [--nights 1] [--seeds 0 1 2] [NAME ...]
    python benchmarks/formats.py --json FILE --table [--half report]

DIR is a home with finished nights, such as `dreamlab nights --folder DIR` leaves; it is only
read. Every variant is trained from the untouched model on the verified dreams of the first nights
and answers the whole benchmark; the table shows the half that decides unless asked for the other,
as the mean over the seeds, with each difference from facets question by question and its 95 %
bootstrap interval (of the questions, not of the seeds). Variants are facets (the default), facets
then ids, ids only, and ids of retrieved rows that stand before the question (open book), then LoRA
against all weights, and a small grid of rank, rate and epochs.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from arms import difference, spread
from dreamt import Dreamt, dreamt, nights_of
from peft import LoraConfig, get_peft_model

from dreamlab.agents.base import BaseModel
from dreamlab.lab import Lab
from dreamlab.models.completion import NONE
from dreamlab.models.decoder import Decoder
from dreamlab.models.evidence import Clue
from dreamlab.models.minilm_decoder import EmbeddedModel
from dreamlab.records import CITED_AT_MOST, Answer, Question, Referral, Role, Score, TaskKind
from dreamlab.settings import load_settings
from dreamlab.training.evaluate import score
from dreamlab.training.order import BATCH, batches

RETRIEVED = 8
"""Rows that an open book shows, the likest first."""


@dataclass(frozen=True)
class Tokens:
    """The parts of a variant's completions, token -> (kind, value), as the model is built on."""

    parts: dict[str, tuple[str, str]]

    @property
    def tokens(self) -> tuple[str, ...]:
        """The parts as text."""
        return tuple(self.parts)


class FreeOfIds(EmbeddedModel):
    """The embedded model that may also write ids that do not stand in the prompt."""

    ids: Sequence[str] = ()

    def writable(self, prompt: Sequence[int], written: Sequence[int] = ()) -> frozenset[int]:
        """What may be written: the ids as well."""
        ids = self.tokenizer.convert_tokens_to_ids(list(self.ids))
        return super().writable(prompt, written) | frozenset(ids).difference(written)


class Facets:
    """What the lab does: facets, which the directory executes."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.base = BaseModel(None, lab.format, lab.catalog, "", lab.evidence)

    def start(self) -> EmbeddedModel:
        """The untouched model with this form's tokens."""
        return EmbeddedModel(self.lab.format)

    def prompt(self, clue: Clue) -> str:
        """What is read before and with a question."""
        return clue.prompt

    def completion(self, row: Dreamt) -> str | None:
        """What a dream teaches to write; None where it teaches nothing."""
        return self.lab.format.encode(row.example.chosen)

    def answer(self, question: str, clue: Clue, completion: str) -> Answer:
        """The answer that a completion means."""
        return self.base.execute(question, completion, clue)


class FacetsThenIds(Facets):
    """Facets, and after them the services themselves, closed book; the ids are what is cited."""

    def __init__(self, lab: Lab) -> None:
        super().__init__(lab)
        self.by_token = {f"<id:{s.id}>": s for s in lab.catalog.services}
        self.token = {s.id: token for token, s in self.by_token.items()}

    def start(self) -> EmbeddedModel:
        """The untouched model with this form's tokens."""
        named = {token: ("id", s.name.replace("_", " ")) for token, s in self.by_token.items()}
        start = FreeOfIds(Tokens({**self.lab.format.parts, **named}))
        start.ids = tuple(self.by_token)
        return start

    def completion(self, row: Dreamt) -> str | None:
        """What a dream teaches to write; None where it teaches nothing."""
        facets = self.lab.format.encode(row.example.chosen)
        if not row.example.chosen.needs and (row.example.chosen.field or facets == NONE):
            return facets
        ids = [self.token[i] for i in row.cited]
        return " ".join([*([facets] if self.with_facets else []), *ids]) if ids else None

    with_facets = True

    def answer(self, question: str, clue: Clue, completion: str) -> Answer:
        """The answer that a completion means."""
        parts = completion.replace("><", "> <").replace("> ", ">\n").split("\n")
        cited = list(dict.fromkeys(self.by_token[p].id for p in parts if p in self.by_token))
        rest = " ".join(p for p in parts if p not in self.by_token)
        if not cited or not rest:
            answer = self.base.execute(question, rest, clue)
            if not cited and not answer.referral.needs:
                return answer
            return _cites(cited)
        return replace(_cites(cited), well_formed=self.lab.format.decode(rest) is not None)


class Ids(FacetsThenIds):
    """The services alone, closed book."""

    with_facets = False


class OpenBook(Facets):
    """Marks of retrieved rows, whose names stand before the question."""

    marks = tuple(f"<row:{k + 1}>" for k in range(RETRIEVED))

    def start(self) -> EmbeddedModel:
        """The untouched model with this form's tokens."""
        marks = {mark: ("row", f"row {k + 1}") for k, mark in enumerate(self.marks)}
        return EmbeddedModel(Tokens({**self.lab.format.parts, **marks}))

    def rows(self, clue: Clue) -> list:
        """The rows that the book shows."""
        first = np.argsort(-clue.similarity, kind="stable")[:RETRIEVED]
        return [self.lab.catalog.services[i] for i in first]

    def prompt(self, clue: Clue) -> str:
        """What is read before and with a question."""
        shown = zip(self.marks, self.rows(clue), strict=True)
        book = " ".join(f"{mark} {s.name[:50]} {s.place}" for mark, s in shown)
        return f"{book} {clue.prompt}"

    def completion(self, row: Dreamt) -> str | None:
        """What a dream teaches to write; None where it teaches nothing."""
        chosen = row.example.chosen
        if not chosen.needs and (chosen.field or chosen.nothing_fits):
            return self.lab.format.encode(chosen)
        fitting = self.right(row)
        marks = [m for m, s in zip(self.marks, self.rows(row.clue), strict=True) if s.id in fitting]
        return " ".join(marks[:CITED_AT_MOST]) or None

    def right(self, row: Dreamt) -> set[str]:
        """The ids of the rows that fit what a dream asks for."""
        return {s.id for s in self.lab.catalog.matching(row.example.chosen)}

    def answer(self, question: str, clue: Clue, completion: str) -> Answer:
        """The answer that a completion means."""
        parts = completion.replace("><", "> <").replace("> ", ">\n").split("\n")
        if not any(p in self.marks for p in parts):
            answer = self.base.execute(question, completion, clue)
            return _cites([]) if answer.referral.needs else answer
        rows = dict(zip(self.marks, self.rows(clue), strict=True))
        return _cites([rows[p].id for p in dict.fromkeys(parts) if p in rows])


def _cites(ids: Sequence[str]) -> Answer:
    return Answer(Role.BASE, Referral(service_ids=tuple(ids)), well_formed=bool(ids))


@dataclass(frozen=True)
class Run:
    """One variant: its form, and how it is trained. No rank means all weights."""

    form: Callable[[Lab], Facets] = Facets
    rank: int | None = 16
    rate: float = 2e-3
    epochs: float = 4


RUNS = {
    "facets": Run(),
    "ids": Run(Ids),
    "facets then ids": Run(FacetsThenIds),
    "open book, ids": Run(OpenBook),
    "facets, all weights, 1e-4": Run(rank=None, rate=1e-4),
    "facets, all weights, 3e-4": Run(rank=None, rate=3e-4),
    "ids, all weights, 3e-4": Run(Ids, rank=None, rate=3e-4),
    "facets, rank 4": Run(rank=4),
    "facets, rank 64": Run(rank=64),
    "facets, rate 1e-3": Run(rate=1e-3),
    "facets, rate 4e-3": Run(rate=4e-3),
    "facets, 2 epochs": Run(epochs=2),
    "facets, 8 epochs": Run(epochs=8),
    "ids, 12 epochs": Run(Ids, epochs=12),
}


def train(start: EmbeddedModel, run: Run, rows: Sequence[tuple[str, str]], seed: int):
    """The model after the lab's own loss, order and schedule, without its checkpoints."""
    torch.manual_seed(seed)
    model = start.model
    if run.rank:
        model = get_peft_model(model, LoraConfig(r=run.rank, lora_alpha=run.rank, **start.lora))
    encoded = []
    for prompt, completion in rows:
        ids = start.prompt(prompt)
        encoded.append({"input_ids": [*ids, *start.completion(completion)], "prompt": len(ids)})
    order = batches([len(row["input_ids"]) for row in encoded], run.epochs, seed)
    steps = -(-len(order) // BATCH)
    warm = max(1, round(steps * 0.1))
    weights = [w for w in model.parameters() if w.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=run.rate, weight_decay=0.0)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda s: s / warm if s < warm else (steps - s) / max(1, steps - warm)
    )
    loss = start.pass_of(model, False) if run.rank else partial(start.loss, model)
    model.train()
    for k in range(0, len(order), BATCH):
        batch = start.collate([encoded[i] for i in order[k : k + BATCH]])
        loss(batch).backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        rate.step()
        optimizer.zero_grad()
    return model.eval(), sum(len(encoded[i]["input_ids"]) for i in order)


def scores(
    form: Facets, decoder: Decoder, asked: Sequence[Question], clues: Sequence[Clue]
) -> list[Score]:
    """The scores of a trained variant on these questions."""
    written = decoder.complete([form.prompt(clue) for clue in clues])
    return [
        score(q, form.answer(q.question, clue, completion), form.lab.catalog)
        for q, clue, completion in zip(asked, clues, written, strict=True)
    ]


def table(path: Path, questions: Sequence[Question]) -> None:
    """Print the means of every variant of the file over its seeds, on these questions."""
    found: dict[str, list[dict]] = {}
    for line in path.open():
        one = json.loads(line)
        found.setdefault(one["name"], []).append(one)
    services = (TaskKind.REFERRAL, TaskKind.CASE)
    figures = {
        "generated F1": ("f1", [q.id for q in questions if q.source == "generated"]),
        "natural F1": ("f1", [q.id for q in questions if q.source == "natural"]),
        "natural success": (
            "right",
            [q.id for q in questions if q.source == "natural" and q.kind in services],
        ),
    }
    print(
        "| variant | seeds |", " | against facets | ".join(figures), "| against facets | tokens |"
    )
    print("|---|---|" + "---|" * 7)
    for name, runs in found.items():
        cells = []
        for key, ids in figures.values():
            each = np.array([[run[key][id_] for id_ in ids] for run in runs], float)
            cells.append(spread(each.mean(1)))
            facets = [[run[key][id_] for id_ in ids] for run in found.get("facets", ())]
            if name == "facets" or not facets:
                cells.append("")
                continue
            cells.append(difference(each.mean(0) - np.mean(facets, axis=0)))
        print(f"| {name} | {len(runs)} | {' | '.join(cells)} | {runs[0]['tokens']:,} |")


def main() -> None:
    """Train and score the variants named, or all, and print their table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(RUNS)}")
    parser.add_argument("--home", type=Path, help="where nights were lived")
    parser.add_argument("--table", action="store_true", help="train nothing, print what is there")
    parser.add_argument("--half", choices=("decide", "report"), default="decide")
    parser.add_argument("--nights", type=int, default=1)
    parser.add_argument("--wordings", type=int, default=10)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--epochs", type=float, help="instead of each variant's own")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, required=True, help="append results there")
    options = parser.parse_args()
    if options.table:
        with tempfile.TemporaryDirectory() as empty:
            table(options.json, Lab(load_settings(home=empty)).benchmark.half(options.half))
        return
    if not options.home:
        parser.error("say with --home where nights were lived, or ask for the --table")
    torch.set_num_threads(options.threads)
    lab = Lab(load_settings(home=options.home, threads=options.threads))
    learnt = dreamt(lab, nights_of(lab)[: options.nights], options.wordings)
    asked = lab.benchmark.questions
    clues = lab.evidence.read([q.question for q in asked])
    for name in options.names or RUNS:
        run = RUNS[name]
        run = replace(run, epochs=options.epochs or run.epochs)
        for seed in options.seeds:
            form = run.form(lab)
            rows = [(form.prompt(row.clue), form.completion(row)) for row in learnt]
            rows = [(prompt, completion) for prompt, completion in rows if completion]
            began, start = time.monotonic(), form.start()
            model, tokens = train(start, run, rows, seed)
            took = time.monotonic() - began
            found = scores(form, Decoder(start, model), asked, clues)
            line = {
                "name": name,
                "seed": seed,
                "nights": options.nights,
                "wordings": options.wordings,
                "epochs": run.epochs,
                "rows": len(rows),
                "tokens": tokens,
                "f1": {s.question_id: round(s.f1, 4) for s in found},
                "right": {s.question_id: s.right for s in found},
            }
            with options.json.open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(name, seed, f"{took:.0f} s", flush=True)
    table(options.json, lab.benchmark.half(options.half))


if __name__ == "__main__":
    main()
