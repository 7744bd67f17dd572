"""The steps of a training, each a function of a lab: gather, train, evaluate, decide, conclude.

Every step may be repeated: a training is fixed on disk before it starts, it resumes from its
checkpoint, and its report is written last. What is learnt, how it is scored and what passes is
decided in `training/`.
"""

from __future__ import annotations

import logging
import shutil
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dreamlab.errors import RegistryError, StorageError, TrainingError
from dreamlab.files import write_atomic
from dreamlab.lab import Lab
from dreamlab.orchestration.dreaming import free_key, window_of
from dreamlab.orchestration.report import picture, score_table, training_markdown
from dreamlab.records import (
    CITED_AT_MOST,
    Answer,
    Evaluation,
    Example,
    Experience,
    Referral,
    Role,
    Task,
    Training,
    TrainingReport,
    Verdict,
    from_json,
    to_json,
)
from dreamlab.training.registry import FINE_TUNING, Version
from dreamlab.training.replay import replay
from dreamlab.training.versions import points

if TYPE_CHECKING:
    import numpy as np

    from dreamlab.agents.team import Team
    from dreamlab.models.evidence import Clue
    from dreamlab.models.projection import Projection

TRAINING, VERDICT, REPORT, ADAPTER = "training.json", "verdict.json", "report.json", "adapter"
UNTOUCHED = "untouched"
DENSE, BASE, TEAM = "dense retrieval", "base", "team"

WORDINGS, REPLAYED_WORDINGS = 10, 3
"""Wordings in which a new and an earlier example are learnt."""

HIDDEN = (("need", "group"), ("need",), ("group",), ())
"""Facets of which a row is learnt as if the phrase bank had not got its words; rows take turns, by
hash. Each without the other too, or a likely group is dropped wherever the need is said."""

Guard = Callable[[], None]
"""Asked before each step; raises where the work must stop."""

Answering = Callable[[Sequence[str]], Sequence[Answer]]


def ensure_first_version(lab: Lab) -> Version:
    """The oldest version; registers the untouched base model, with its score, if there is none."""
    if known := lab.registry.versions():
        return known[0]
    scores = headline(evaluation(lab, BASE, UNTOUCHED, lambda: lab.base_from(None, "1").propose))
    run = lab.registry.start_run(FINE_TUNING, "untouched", key=UNTOUCHED)
    lab.registry.log(run, params={"base_model": lab.settings.base_model}, metrics=points(scores))
    lab.registry.log_sources(run, lab.benchmark.hash, len(lab.benchmark.questions))
    page = _folder(lab, UNTOUCHED) / "report.md"
    table = score_table({"base 1": scores})
    write_atomic(page, "\n".join(["## The starting model, untouched", "", *table]) + "\n")
    lab.registry.log_file(run, page)  # MLflow's comparison fails on a run that has no file
    version = lab.registry.register_untouched(run, lab.benchmark.hash, scores)
    lab.registry.finish_run(run)
    return version


def gather(
    lab: Lab, *, min_examples: int | None = None, seed: int = 0, force: bool = False
) -> Training:
    """The training to run now: an unfinished one, else a new one with its dataset exported.

    The parent is the champion, and the training goes on from its adapter; or, where the gate found
    the last challenger as good as that parent, from the challenger's: gains too small for the gate
    to see in one night add up until it sees them. Examples that neither that adapter nor those
    before it were trained on are new; earlier ones are replayed. What holds no longer by the
    directory of today is left out (`memory/outdated.py`). Each is learnt in several wordings. A
    training without enough examples since the last is `skipped`, and nothing is written.

    Args:
        lab: the lab that learns.
        min_examples: examples since the last training that one needs; by default the setting.
        seed: of the training.
        force: recorded.
    """
    lab.refresh()
    if pending := _unfinished(lab):
        return pending
    from dreamlab.training.examples import export, rows
    from dreamlab.training.preference import with_rejected

    champion = lab.registry.champion()
    if champion is None:
        raise RegistryError("no version is registered; run `dreamlab night` first")
    experiences = lab.memory.experiences()
    known = _learnable(lab, experiences)
    start = _tied_challenger(lab, champion)
    used = _trained_on(lab, [start, *(v.key for v in _ancestry(lab, champion))])
    fresh = len(_untried(lab, known))
    needed = min_examples or lab.settings.min_examples_for_training
    night = window_of(lab).night(lab.now())
    key = free_key(night, lambda taken: (_folder(lab, taken) / REPORT).exists())
    if fresh < needed:
        return Training(
            key,
            parent=str(champion.number),
            new=fresh,
            forced=force,
            skipped=f"examples_missing: {fresh} verified since the last training, {needed} needed",
        )
    new = [e for e in known if e.experience_id not in used]
    learnt = [e for e in known if e.experience_id in used] if lab.arm.replayed else []
    old = replay(new, learnt, seed)
    chosen = _reworded(lab, new, old, {e.id: e.task for e in experiences}, seed)
    clues = clues_to_learn_from(lab, [e.question for e in chosen])
    read = [replace(e, question=c.prompt) for e, c in zip(chosen, clues, strict=True)]
    lines = rows(read, "completion", lab.format.encode)
    if strategy_of(lab) == "dpo":
        lines = with_rejected(lines, read, lab.format)
    dataset = export(lines, _folder(lab, key), [e.experience_id for e in chosen])
    training = Training(
        key=key,
        seed=seed,
        parent=str(champion.number),
        start=start,
        new=len(new),
        replayed=len(old),
        dataset=dataset.sha256,
        nights=tuple(sorted({e.night for e in chosen})),
        forced=force,
        directory=lab.catalog.fingerprint,
    )
    run = _run(lab, training)
    lab.registry.log_dataset(run, dataset)
    write_atomic(_folder(lab, key) / TRAINING, to_json(training))
    return training


def _reworded(
    lab: Lab, new: Sequence[Example], old: Sequence[Example], tasks: Mapping[str, Task], seed: int
) -> list[Example]:
    """Each example in several wordings, none of them near to the benchmark."""
    lab.progress("wording the examples", 0, 1)
    chosen = [*new, *old]
    counts = [WORDINGS] * len(new) + [REPLAYED_WORDINGS] * len(old)
    texts = wordings_of(lab, [tasks[e.experience_id] for e in chosen], counts, seed)
    lab.progress("wording the examples", 1, 1)
    return [
        replace(example, question=text)
        for example, wordings in zip(chosen, texts, strict=True)
        for text in wordings
    ]


def wordings_of(
    lab: Lab, tasks: Sequence[Task], counts: Sequence[int], seed: int
) -> list[list[str]]:
    """Of each task up to `counts` texts to learn it in, none of them near to the benchmark."""
    from dreamlab.exploration.rewording import reword
    from dreamlab.training.benchmark import held_out, near_duplicate_check

    near = near_duplicate_check(lab.benchmark.questions, lab.embedder.embed)
    return reword(tasks, counts, seed, lab.catalog, lab.phrases, near, held_out=held_out)


def clues_to_learn_from(lab: Lab, questions: Sequence[str]) -> list[Clue]:
    """The evidence on questions as they are learnt, some as if the bank had not got their words."""
    hidden = [HIDDEN[zlib.crc32(question.encode()) % len(HIDDEN)] for question in questions]
    return lab.evidence.read(questions, hidden)


def fresh_examples(lab: Lab) -> int:
    """How many verified examples no finished training has seen."""
    return len(_untried(lab, _learnable(lab, lab.memory.experiences())))


def _learnable(lab: Lab, experiences: Sequence[Experience]) -> list[Example]:
    """The examples of these experiences that are right by the directory of today."""
    from dreamlab.memory.outdated import holds
    from dreamlab.training.examples import examples

    held = (e for e in experiences if e.verified and holds(e, lab.catalog))
    return [e for e in examples(held) if lab.format.covers(e.chosen)]


def _untried(lab: Lab, known: Sequence[Example]) -> list[Example]:
    tried = _trained_on(lab, [f.parent.name for f in _folder(lab, "").glob(f"*/{REPORT}")])
    return [e for e in known if e.experience_id not in tried]


def _go_on() -> None:
    pass


def train(lab: Lab, training: Training, guard: Guard = _go_on) -> None:
    """Train the adapter of this training, from its last checkpoint if it was interrupted, and the
    projection that retrieves rows with it.

    Args:
        lab: the lab that learns.
        training: what `gather` made.
        guard: asked before every step of the optimizer.

    Raises:
        TrainingError: the training cannot run; what it had is kept.
    """
    from dreamlab.models.projection import FILE
    from dreamlab.training.finetune import finetune

    def progress(done: int, total: int) -> None:
        lab.progress("training", done, total)
        guard()

    folder = _folder(lab, training.key)
    rows, start = _dataset_rows(folder), _start(lab, training)
    with _watched(lab, training):
        trained = finetune(
            rows,
            base_model=lab.settings.base_model,
            format=lab.format,
            settings=lab.settings,
            folder=folder / ADAPTER,
            parent=start,
            seed=training.seed,
            strategy=strategy_of(lab),
            reward=lab.reward,
            progress=progress,
        )
    run = _run(lab, training)
    for point in trained.history:
        step = int(point["step"])
        lab.registry.log(
            run, metrics={f"train/{k}": v for k, v in point.items() if k != "step"}, step=step
        )
    if not (folder / ADAPTER / FILE).is_file():
        guard()
        projection, loss = _learn_to_retrieve(lab, rows, start, training.seed)
        projection.save(folder / ADAPTER)
        lab.registry.log(run, metrics={"train/retrieval_loss": loss})


def _learn_to_retrieve(
    lab: Lab, lines: Sequence[Mapping[str, str]], start: Path | None, seed: int
) -> tuple[Projection, float]:
    """The projection that goes on from that of the adapter `start`, learnt from the questions of a
    dataset and the rows that fit what they ask for, and its loss."""
    import numpy as np

    from dreamlab.models.compute import thread_count
    from dreamlab.models.projection import load_projection
    from dreamlab.training.retrieval import learn_projection

    @cache
    def fitting(completion: str) -> np.ndarray:
        wanted = lab.format.decode(completion)
        found = set(lab.catalog.matching(wanted)) if wanted and wanted.needs else set()
        return np.array([service in found for service in lab.catalog.services])

    lab.progress("learning to retrieve", 0, 1)
    clues = [clue for _, clue in lab.evidence.reread([line["prompt"] for line in lines])]
    learnt = learn_projection(
        np.array([clue.vector for clue in clues]),
        lab.evidence.rows,
        np.array([fitting(line["completion"]) for line in lines]),
        lab.embedder.name,
        start=load_projection(start, lab.embedder),
        seed=seed,
        threads=thread_count(lab.settings),
    )
    lab.progress("learning to retrieve", 1, 1)
    return learnt


def strategy_of(lab: Lab) -> str:
    """The strategy that the lab's base model is trained by."""
    return lab.arm.training or lab.settings.training_strategy


def _start(lab: Lab, training: Training) -> Path | None:
    """The adapter that a training goes on from; None to start from the untouched model."""
    if not lab.arm.accumulated:
        return None
    if training.start:
        return _folder(lab, training.start) / ADAPTER
    return lab.adapter(int(training.parent))


def _tied_challenger(lab: Lab, champion: Version) -> str:
    """The key of the last training if its challenger tied with the present champion."""
    ended = [report for report in reports(lab) if report.verdict]
    last = ended[-1] if ended else None
    if last is None or last.verdict is None or not last.verdict.tied:
        return ""
    from dreamlab.training.examples import forgotten

    key = last.training.key
    line = [_folder(lab, k) for k in line_of(lab, key)]
    intact = (line[0] / ADAPTER).is_dir() and not any(map(forgotten, line))
    return key if last.training.parent == str(champion.number) and intact else ""


def evaluate(lab: Lab, training: Training, guard: Guard = _go_on) -> None:
    """Score challenger, champion, both teams and dense retrieval; each evaluation is kept.

    `guard` is asked before each of them.
    """
    challenger = cache(lambda: lab.base_from(_folder(lab, training.key) / ADAPTER, training.key))
    champion = cache(lambda: lab.version(training.parent))
    parent_key = _key_of(lab, training.parent)
    subjects: list[tuple[str, str, Callable[[], Answering]]] = [
        (DENSE, "", lambda: _dense_answers(lab)),
        (BASE, parent_key, lambda: champion().propose),
        (BASE, training.key, lambda: challenger().propose),
    ]
    if lab.settings.score_team:
        subjects += [
            (TEAM, parent_key, lambda: team_answers(lab.team(champion()))),
            (TEAM, training.key, lambda: team_answers(lab.team(challenger()))),
        ]
    for subject, key, open_ in subjects:
        guard()
        evaluation(lab, subject, key, open_)


def decide(lab: Lab, training: Training) -> Verdict:
    """The gate's verdict on the base model of this training, kept on disk."""
    from dreamlab.training.gate import decide as gate

    verdict = gate(
        kept_evaluation(lab, BASE, _key_of(lab, training.parent)),
        kept_evaluation(lab, BASE, training.key),
        max_loss_share=lab.settings.max_loss_share,
    )
    if not lab.arm.gated:
        verdict = replace(verdict, passed=True, reasons=("ungated", *verdict.reasons))
    write_atomic(_folder(lab, training.key) / VERDICT, to_json(verdict))
    return verdict


def conclude(lab: Lab, training: Training, verdict: Verdict) -> TrainingReport:
    """Register the challenger, or record its rejection with the reasons; the report is last."""
    run = _run(lab, training)
    ours = headline(kept_evaluation(lab, BASE, training.key))
    subjects = (BASE, TEAM) if lab.settings.score_team else (BASE,)
    parent_key = _key_of(lab, training.parent)
    scores = {DENSE: headline(kept_evaluation(lab, DENSE, ""))}
    for subject in subjects:
        scores[f"{subject} {training.parent}"] = headline(kept_evaluation(lab, subject, parent_key))
    version = ""
    if verdict.passed:
        registered = lab.registry.register(
            _folder(lab, training.key) / ADAPTER,
            run,
            training.key,
            night=training.nights[-1] if training.nights else "",
            dataset=training.dataset,
            parent=int(training.parent),
            benchmark=lab.benchmark.hash,
            scores=ours,
            description=_description(training, verdict, {**scores, "this version": ours}),
        )
        version = str(registered.number)
    label = version or "rejected"
    for subject in subjects:
        scores[f"{subject} {label}"] = headline(kept_evaluation(lab, subject, training.key))
    team = points(scores.get(f"{TEAM} {label}", {}))
    report = TrainingReport(training, verdict, version, run, scores=scores)
    lab.registry.log(
        run,
        metrics={**points(ours), **{f"team/{k}": v for k, v in team.items()}},
        tags={
            "verdict": "passed" if verdict.passed else "rejected",
            "reasons": "; ".join(verdict.reasons),
            "version": label,
        },
    )
    page = _folder(lab, training.key) / "report.md"
    write_atomic(page, training_markdown(report))
    lab.registry.describe_run(run, training_markdown(report))
    lab.registry.log_sources(
        run, lab.benchmark.hash, len(lab.benchmark.questions), int(training.parent)
    )
    lab.registry.log_file(run, page)
    lab.registry.log_figure(run, picture([*reports(lab), report]), "scores.png")
    lab.registry.finish_run(run)
    write_atomic(_folder(lab, training.key) / REPORT, to_json(report))
    return report


def evaluation(lab: Lab, subject: str, key: str, open_: Callable[[], Answering]) -> Evaluation:
    """The kept evaluation of a subject under a training's key, or a new one, which is kept.

    `open_` is called only for a new one: to load a model takes longer than to read a file.
    """
    path = _evaluation_path(lab, subject, key)
    if path.exists():
        return from_json(Evaluation, path.read_bytes())
    from dreamlab.training.evaluate import evaluate as score_all

    name = f"evaluating {subject}" + (f" ({key})" if key else "")
    found = score_all(
        subject,
        open_(),
        lab.benchmark.questions,
        lab.catalog,
        key,
        progress=lambda done, total: lab.progress(name, done, total),
    )
    found = replace(found, benchmark=lab.benchmark.hash)
    write_atomic(path, to_json(found))
    return found


def headline(found: Evaluation) -> dict[str, float]:
    """The figures of the half that is only reported, by name, for runs, versions and reports."""
    from dreamlab.training.evaluate import metrics

    return {
        name.replace("/report/", "/"): value
        for name, value in metrics(found).items()
        if "/report/" in name and not name.endswith("/seconds")
    }


def reports(lab: Lab) -> list[TrainingReport]:
    """The reports of all finished trainings, the oldest first."""
    paths = sorted(lab.settings.training_data_path.glob(f"*/{REPORT}"))
    return [from_json(TrainingReport, path.read_bytes()) for path in paths]


def team_answers(team: Team) -> Answering:
    """The final answers of a team, for an evaluation."""

    def answer(texts: Sequence[str]) -> Sequence[Answer]:
        tasks = [Task(f"b{i}", text) for i, text in enumerate(texts)]
        return [answers[0] for answers in team.solve_many(tasks)]

    return answer


def _dense_answers(lab: Lab) -> Answering:
    """Plain dense retrieval, the baseline: the five rows nearest to a question, whatever it is."""
    from dreamlab.models.vectors import cached_vectors

    services = lab.catalog.services
    rows = cached_vectors(
        "rows", [service.text for service in services], lab.embedder, lab.settings.cache_path
    )

    def nearest(similarity: np.ndarray) -> Answer:
        found = (-similarity).argsort()[:CITED_AT_MOST]
        return Answer(Role.SEARCH, Referral(service_ids=tuple(services[row].id for row in found)))

    return lambda texts: [nearest(rows @ vector) for vector in lab.embedder.embed(list(texts))]


def _run(lab: Lab, training: Training) -> str:
    return lab.registry.start_run(
        FINE_TUNING,
        training.key,
        key=training.key,
        params={
            "parent": training.parent,
            "start": training.start,
            "base_model": lab.settings.base_model,
            "strategy": strategy_of(lab),
            "examples_new": training.new,
            "examples_replayed": training.replayed,
            "epochs": lab.settings.training_epochs,
            "learning_rate": lab.settings.learning_rate,
            "lora_rank": lab.settings.lora_rank,
            "seed": training.seed,
        },
        tags={
            "forced": training.forced,
            "directory": lab.catalog.fingerprint,
            "arm": lab.arm.name,
        },
    )


@contextmanager
def _watched(lab: Lab, training: Training) -> Iterator[None]:
    """Logs system metrics to the training's run meanwhile; MLflow away stops no training."""
    with ExitStack() as stack:
        try:
            stack.enter_context(lab.registry.system_metrics(_run(lab, training)))
        except RegistryError as error:
            logging.getLogger(__name__).warning("no system metrics: %s", error)
        yield


def _description(
    training: Training, verdict: Verdict, scores: Mapping[str, Mapping[str, float]]
) -> str:
    """What MLflow's page of a version says first, in Markdown."""
    lines = [
        f"Trained from version {training.parent} on {training.new} new and {training.replayed} "
        f"replayed examples. The gate said: {'; '.join(verdict.reasons)}.",
        "",
        *score_table(scores),
    ]
    return "\n".join(lines)


def _folder(lab: Lab, key: str) -> Path:
    return lab.settings.training_data_path / key


def _evaluation_path(lab: Lab, subject: str, key: str) -> Path:
    folder = lab.settings.home / "evaluations" / lab.benchmark.hash[:16]
    return folder / f"{subject.replace(' ', '-')}{'-' if key else ''}{key}.json"


def kept_evaluation(lab: Lab, subject: str, key: str) -> Evaluation:
    """The kept evaluation of a subject under a training's key.

    Raises:
        TrainingError: there is none, or it is damaged.
    """
    try:
        return from_json(Evaluation, _evaluation_path(lab, subject, key).read_bytes())
    except (OSError, ValueError):
        raise TrainingError(
            f"the evaluation of {subject} {key} is missing or damaged; run `dreamlab finetune`"
        ) from None


def _unfinished(lab: Lab) -> Training | None:
    """The training that was interrupted; not one whose dataset is of another directory, which is
    removed: it would teach what is no more."""
    for path in sorted(lab.settings.training_data_path.glob(f"*/{TRAINING}")):
        if not path.with_name(REPORT).exists():
            try:
                found = from_json(Training, path.read_bytes())
            except ValueError:
                raise StorageError(f"{path} is damaged; remove its folder to train anew") from None
            if found.directory in ("", lab.catalog.fingerprint):
                return found
            for kept in (lab.settings.home / "evaluations").glob(f"*/*-{found.key}.json"):
                kept.unlink()
            shutil.rmtree(path.parent)
    return None


def _key_of(lab: Lab, number: str) -> str:
    return lab.registry.version(int(number)).key


def _ancestry(lab: Lab, version: Version) -> list[Version]:
    line = [version]
    while line[-1].parent:
        line.append(lab.registry.version(line[-1].parent))
    return line


def line_of(lab: Lab, key: str) -> list[str]:
    """The keys of a training and of the challengers, one after another, that it went on from."""
    line: list[str] = []
    while key and key not in line:
        line.append(key)
        path = _folder(lab, key) / TRAINING
        key = from_json(Training, path.read_bytes()).start if path.exists() else ""
    return line


def _trained_on(lab: Lab, keys: Sequence[str]) -> set[str]:
    from dreamlab.training.examples import LINEAGE, lineage_of

    used: set[str] = set()
    for key in dict.fromkeys(k for end in keys for k in line_of(lab, end)):
        path = _folder(lab, key) / LINEAGE
        if path.exists():
            used.update(lineage_of(path))
    return used


def trained_card(lab: Lab, key: str) -> dict[str, Any]:
    """What is written beside the adapter of a training: steps, loss, history and so on."""
    from dreamlab.models.decoder import read_card

    return read_card(_folder(lab, key) / ADAPTER)


def _dataset_rows(folder: Path) -> list[dict[str, str]]:
    import json

    from dreamlab.training.examples import DATASET

    text = (folder / DATASET).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]
