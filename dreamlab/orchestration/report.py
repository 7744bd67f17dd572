"""What a night and a training left, for people: Markdown, table rows and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from dreamlab.lab import Lab
from dreamlab.orchestration.queue import WorkedOff
from dreamlab.records import Answer, Experience, NightReport, Referral, TrainingReport
from dreamlab.settings import Settings

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dreamlab.training.registry import Version

COLUMNS = {
    "natural, success": "natural/success",
    "natural, F1": "natural/f1",
    "facts": "natural/fact_accuracy",
    "refusals": "natural/abstention",
    "generated, F1": "generated/f1",
}
"""Columns of the score tables and the metrics they show, all of the half that is only reported."""


def dreams_markdown(night: NightReport) -> str:
    """The account of a night's dreams."""
    checkable = night.solved - night.dropped.get("open", 0)
    lines = [
        f"## Night {night.night}",
        "",
        f"- planned {night.planned}, solved {night.solved}, verified {night.verified}"
        + (f" of {checkable} that can be checked" if checkable else ""),
        f"- the base model alone (version {night.version or 'none'}) understood {night.base_right}",
        f"- written down: {night.reflections} reflections, {night.insights} insights",
    ]
    if night.dropped:
        dropped = ", ".join(f"{reason} {count}" for reason, count in night.dropped.items())
        lines.append(f"- not learnt from, by reason: {dropped}")
    if night.models:
        m = night.models
        lines.append(
            f"- language models: {m['calls']:.0f} calls, {m['tokens']:.0f} tokens, "
            f"${m['dollars']:.2f}, {m['remembered']:.0f} answers remembered, "
            f"{m['fallbacks']:.0f} offline answers instead, {m['cut']:.0f} claims cut"
        )
    lines += [f"- {note}" for note in night.notes]
    if night.forced:
        lines.append("- run outside the downtime window (--force)")
    if not night.complete:
        lines.append("- **not complete**: what is left is dreamt by the next session")
    if night.problem:
        lines.append(f"- **problem**: {night.problem}")
    if night.gaps:
        lines += ["", "Gaps found in the directory, among others:", ""]
        lines += [f"- {gap}" for gap in night.gaps[:8]]
    return "\n".join(lines) + "\n"


def training_markdown(training: TrainingReport) -> str:
    """The account of a training: what it learnt from, the verdict and the scores."""
    plan = training.training
    if plan.skipped:
        return f"## No training\n\n- {plan.skipped}\n"
    verdict = training.verdict
    lines = [
        f"## Training {plan.key}",
        "",
        f"- parent: version {plan.parent}"
        + (f", by way of the challenger of {plan.start}, which tied with it" if plan.start else "")
        + f"; {plan.new} new examples, {plan.replayed} replayed",
        f"- result: **version {training.version} registered**"
        if training.version
        else "- result: **rejected**; the parent answers on",
    ]
    if verdict:
        lines += [f"- gate: {reason}" for reason in verdict.reasons]
        lines.append(f"- smallest difference it could have seen: {verdict.detectable:.1%}")
    lines += ["", *score_table(training.scores)]
    return "\n".join(lines) + "\n"


def links(settings: Settings, run_id: str, model: str = "", version: str = "") -> str:
    """Markdown links to the run, and to the version it registered, in MLflow's pages."""
    pages = settings.mlflow_url or settings.tracking_uri
    if not pages.startswith("http") or not run_id:
        return ""
    pages = pages.rstrip("/")
    found = [f"[MLflow run]({pages}/#/runs/{run_id})"]
    if version:
        found.append(f"[version {version}]({pages}/#/models/{model}/versions/{version})")
    return f"\n\nIn MLflow: {', '.join(found)}\n"


def night_ending(night: NightReport) -> tuple[str, str]:
    """The final state of a night's flow run and what it says."""
    counts = f"{night.planned} planned, {night.solved} solved, {night.verified} verified"
    if not night.complete:
        return "Drained", f"night {night.night} stopped: {counts}; the next session resumes it"
    if night.problem:
        return "EmptyNight", f"night {night.night} taught nothing: {night.problem} ({counts})"
    return "Completed", f"night {night.night}: {counts}"


def training_ending(training: TrainingReport) -> tuple[str, str]:
    """The final state of a training's flow run and what it says."""
    if training.training.skipped:
        return "Skipped", training.training.skipped
    if training.version:
        return "Completed", f"version {training.version} registered"
    reasons = "; ".join(training.verdict.reasons) if training.verdict else ""
    return "Completed", f"the challenger was rejected: {reasons}"


def solving_ending(result: Experience | WorkedOff) -> tuple[str, str]:
    """The final state of a solving flow run and what it says."""
    if isinstance(result, WorkedOff):
        counts = f"{result.answered} deferred tasks answered, {result.waiting} wait"
        return (
            ("Drained", f"{result.stopped}: {counts}") if result.stopped else ("Completed", counts)
        )
    return "Completed", result.answers[0].text


def understood(referral: Referral) -> str:
    """What was understood of a question, in a few words that hold nothing personal."""
    return _words(referral) if referral.understood else "not understood"


def score_table(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """A Markdown table of subjects and their headline figures with 95 % intervals."""
    shown = {name: key for name, key in COLUMNS.items() if any(key in s for s in scores.values())}
    lines = [
        "| on the reported half | " + " | ".join(shown) + " |",
        "|---" * (len(shown) + 1) + "|",
    ]
    for subject, metrics in scores.items():
        cells = [_figure(metrics, key) for key in shown.values()]
        lines.append(f"| {subject} | " + " | ".join(cells) + " |")
    return lines


def markdown(night: NightReport, training: TrainingReport) -> str:
    """The whole report of a night."""
    return dreams_markdown(night) + "\n" + training_markdown(training)


def before_and_after(lab: Lab, training: TrainingReport) -> str:
    """The showcase questions as the version before and the version after understand them."""
    if not training.version:
        return "No new version: the answers stay as they were.\n"
    old, new = lab.base(training.training.parent), lab.base(training.version)
    if old is None or new is None:
        return ""
    questions = showcase(lab)
    before, after = f"version {old.version}", f"version {new.version}"
    lines = ["## Before and after", ""]
    pairs = zip(questions, old.propose(questions), new.propose(questions), strict=True)
    for question, was, now in pairs:
        lines += [
            f"**{question}**",
            "",
            f"- {before}: {_understood(lab, was)}",
            f"- {after}: {_understood(lab, now)}",
            "",
        ]
    team = lab.solve(questions[0]).answers[0]
    lines += [f"The whole team with {after} answers the first one:", "", "```", team.text, "```"]
    return "\n".join(lines) + "\n"


def showcase(lab: Lab) -> list[str]:
    """A few questions to show: the directory's own, else some that the benchmark only reports."""
    return list(lab.catalog.showcase) or [q.question for q in lab.benchmark.half("report")[:3]]


def version_rows(versions: Sequence[Version]) -> tuple[list[str], list[list[str]]]:
    """Column heads and rows of the table of versions."""
    heads = ["version", "answers", "parent", "trained after", *COLUMNS]
    rows = [
        [
            str(v.number),
            "*" if v.champion else "",
            str(v.parent or ""),
            v.night or ("untouched" if v.untouched else ""),
            *(_figure(v.scores, key) for key in COLUMNS.values()),
        ]
        for v in versions
    ]
    if any(v.forgotten for v in versions):
        heads.append("learnt from what was forgotten")
        for row, version in zip(rows, versions, strict=True):
            row.append(version.forgotten)
    return heads, rows


def picture(reports: Sequence[TrainingReport]) -> Figure:
    """Learning curve over the trainings, and the latest scores by kind of question."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    curve, kinds = figure.subplots(1, 2)
    finished = [r for r in reports if r.verdict]
    for subject in ("base", "team"):
        for name in ("natural/f1", "generated/f1"):
            points = _curve(finished, subject, name)
            if points:
                curve.plot(
                    range(len(points)), points, marker="o", label=f"{subject}, {name.split('/')[0]}"
                )
    curve.set(title="Mean F1, reported half", xlabel="trainings", ylim=(0, 1))
    curve.legend(fontsize=8)
    if finished:
        last = finished[-1]
        for i, (subject, metrics) in enumerate(last.scores.items()):
            found = {k: v for k, v in metrics.items() if k.count("/") == 2 and k.endswith("/f1")}
            names = [k.removesuffix("/f1").replace("/", "\n") for k in found]
            width = 0.8 / len(last.scores)
            kinds.bar(
                [x + i * width for x in range(len(names))],
                list(found.values()),
                width,
                label=subject,
            )
            kinds.set_xticks([x + 0.4 for x in range(len(names))], names, fontsize=7)
        kinds.legend(fontsize=7)
    kinds.set(title="Mean F1 by kind of question", ylim=(0, 1))
    return figure


def _curve(reports: Sequence[TrainingReport], subject: str, metric: str) -> list[float]:
    """The metric of the version that answered after each training, from the first parent on."""
    points: list[float] = []
    for report in reports:
        parent = report.training.parent
        answering = (
            (parent, report.version or parent) if not points else (report.version or parent,)
        )
        for version in answering:
            points.append(report.scores.get(f"{subject} {version}", {}).get(metric, 0.0))
    return points


def _figure(metrics: Mapping[str, float], key: str) -> str:
    if key not in metrics:
        return "-"
    low, high = metrics.get(f"{key}_low"), metrics.get(f"{key}_high")
    interval = f" [{low:.2f}, {high:.2f}]" if low is not None and high is not None else ""
    return f"{metrics[key]:.2f}{interval}"


def _understood(lab: Lab, answer: Answer) -> str:
    if not answer.well_formed:
        return "no answer (nothing that can be read)"
    cited = [row.name for row in lab.catalog.listed(answer.referral.service_ids[:3])]
    return f"{_words(answer.referral)}" + (f" → {'; '.join(cited)}" if cited else "")


def _words(referral: Referral) -> str:
    if referral.nothing_fits:
        return "nothing here fits"
    parts = [" and ".join(referral.needs), *(f"for {group}" for group in referral.groups)]
    if referral.place:
        parts.append(f"in {referral.place}")
    if referral.field:
        parts.append(f"asks for the {referral.field.replace('_', ' ')}")
    return " ".join(part for part in parts if part) or "nothing"
