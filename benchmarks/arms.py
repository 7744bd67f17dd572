"""What each part of the loop is worth: tables and pictures of the nights that arms have lived.

    dreamlab nights --count 10 --seed 0 --arm aimed --folder DIR/aimed-0      # and so on
    python benchmarks/arms.py DIR --keep benchmarks/results/nights --images docs/images

Reads every `course.json` below DIR (or files kept before) and prints Markdown: the learning
curves, each arm against the aimed one question by question, the team with its base model against
the team without, and how far a version that answers ever fell behind the one before it. All
figures are of the half of the benchmark that is only reported. Intervals are bootstrapped over
questions (2,000 resamples), after averaging a question over the seeds: they say how far another
draw of questions would move the figure, and the spread between seeds is printed beside them.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dreamlab.lab import Lab
from dreamlab.orchestration.arms import ARMS
from dreamlab.orchestration.experiments import COURSE, Course, Lived
from dreamlab.records import Question, TaskKind, from_json
from dreamlab.settings import load_settings
from dreamlab.training.evaluate import bootstrap_interval
from dreamlab.training.gate import detectable, mcnemar

AIMED = "aimed"
ERRING = re.compile("errs|no-check")
DRAWN = ("generated/report/f1", "natural/report/success")
Chosen = Callable[[Question], bool]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="where the courses are")
    parser.add_argument("--keep", type=Path, help="copy the raw results here")
    parser.add_argument("--images", type=Path, help="draw the learning curves here")
    options = parser.parse_args()
    found = sorted({*options.folder.rglob(COURSE), *options.folder.glob("*.json")})
    courses = defaultdict(dict)
    for path in found:
        course = from_json(Course, path.read_bytes())
        courses[course.arm][course.seed] = course
        if options.keep:
            options.keep.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, options.keep / f"{course.arm}-{course.seed}.json")
    if not courses:
        raise SystemExit(f"no {COURSE} below {options.folder}: live some nights first")
    names = [*ARMS]
    in_order = sorted(courses, key=lambda arm: [names.index(part) for part in arm.split("+")])
    courses = {arm: courses[arm] for arm in in_order}
    lab = Lab(load_settings())
    questions = lab.benchmark.questions
    hashes = {course.benchmark for seeds in courses.values() for course in seeds.values()}
    if hashes != {lab.benchmark.hash}:
        raise SystemExit("these nights were measured on another benchmark than this one")
    print(setting(courses))
    print(headline(courses))
    print(curves(courses))
    print(against_aimed(courses, questions))
    print(against_others(courses, questions))
    print(falls(courses, questions))
    if options.images:
        draw(courses, options.images / "learning-curves.png")


def setting(courses: dict[str, dict[int, Course]]) -> str:
    some = next(iter(next(iter(courses.values())).values()))
    return ", ".join(f"{name} {value}" for name, value in some.settings.items()) + "\n"


def headline(courses: dict[str, dict[int, Course]]) -> str:
    """The aimed arm beside dense retrieval and the team, each figure a mean over the seeds."""
    done = [course for course in courses.get(AIMED, {}).values() if course.dense_right]
    if not done:
        return ""
    shown = {
        "natural, success": "natural/report/success",
        "natural, F1": "natural/report/f1",
        "facts": "natural/report/fact_accuracy",
        "refusals": "natural/report/abstention",
        "generated, F1": "generated/report/f1",
    }
    nights = min(len(course.nights) for course in done)
    rows = {"dense retrieval": [c.dense for c in done], "team alone": [c.team[""] for c in done]}
    rows["base model, untouched"] = [c.before for c in done]
    for night in sorted({1, min(3, nights), nights}):
        rows[f"base model, night {night}"] = [c.nights[night - 1].scores for c in done]
    rows[f"team with it, night {nights}"] = [c.team[c.nights[-1].version] for c in done]
    cells = [
        [name, *(f"{np.mean([s.get(key, 0.0) for s in scores]):.2f}" for key in shown.values())]
        for name, scores in rows.items()
    ]
    title = f"### The aimed arm, {len(done)} seeds"
    return "\n".join([title, "", *table(["", *shown], cells), ""])


def curves(courses: dict[str, dict[int, Course]]) -> str:
    heads = ["arm", "seeds", "nights", "night 1", "2", "3", "5", "last", "best - last"]
    lines = []
    for metric, title in (
        ("generated/report/f1", "Generated questions, F1 of the version that answers"),
        ("natural/report/success", "Natural questions, success"),
        ("natural/report/f1", "Natural questions, F1"),
        ("natural/report/abstention", "Natural questions, abstention"),
    ):
        rows = []
        for arm, seeds in courses.items():
            series = [[night.scores[metric] for night in c.nights] for c in seeds.values()]
            nights = min(map(len, series))
            at = [np.array([s[i] for s in series]) for i in range(nights)]
            shown = [spread(at[i]) if i < nights else "-" for i in (0, 1, 2, 4)]
            fallen = np.array([max(s[:nights]) - s[nights - 1] for s in series])
            rows.append(
                [arm, len(series), nights, *shown, spread(at[-1]), f"{100 * fallen.mean():.1f}"]
            )
        lines += [f"### {title}", "", *table(heads, rows), ""]
    lines += ["### What was learnt from", ""]
    rows = [
        [
            arm,
            mean(c.nights[-1].version for c in seeds.values()),
            mean(n.verified for c in seeds.values() for n in c.nights),
            mean(n.wrong for c in seeds.values() for n in c.nights),
            mean(n.tokens for c in seeds.values() for n in c.nights),
        ]
        for arm, seeds in courses.items()
    ]
    heads = ["arm", "last version", "learnt a night", "of all, wrong", "tokens a night"]
    return "\n".join([*lines, *table(heads, rows), ""])


def against_aimed(courses: dict[str, dict[int, Course]], questions: Sequence[Question]) -> str:
    """Each arm minus the aimed one, on the seeds and the last night that both have."""
    heads = ["arm - aimed", "seeds", "night", "generated F1", "natural F1", "natural right"]
    heads += ["McNemar p, all right/wrong, each seed", "detectable"]
    rows = []
    for arm, seeds in courses.items():
        both = sorted(set(seeds) & set(courses.get(AIMED, {})))
        if arm == AIMED or not both:
            continue
        night = min(len(c.nights) for s in both for c in (seeds[s], courses[AIMED][s])) - 1
        pairs = [(seeds[s].nights[night], courses[AIMED][s].nights[night]) for s in both]
        f1 = np.mean([np.subtract(a.f1, b.f1) / 100 for a, b in pairs], axis=0)
        right = np.mean([bits(a) - bits(b) for a, b in pairs], axis=0)
        chosen = {s: mask(questions, s) for s in ("generated", "natural")}
        tests, seen = [], []
        for a, b in pairs:
            changed = (bits(a) - bits(b))[mask(questions, "")]
            won, lost = int((changed > 0).sum()), int((changed < 0).sum())
            tests.append(f"{mcnemar(won, lost):.2g}")
            seen.append(detectable(won + lost, len(changed)))
        rows.append(
            [
                arm,
                ", ".join(map(str, both)),
                night + 1,
                difference(f1[chosen["generated"]]),
                difference(f1[chosen["natural"]]),
                difference(right[chosen["natural"]]),
                ", ".join(tests),
                f"{max(seen):.3f}",
            ]
        )
    return "\n".join(["### Against the aimed arm, same seeds", "", *table(heads, rows), ""])


def against_others(courses: dict[str, dict[int, Course]], questions: Sequence[Question]) -> str:
    """Base model against dense retrieval and the team; the team with it against without."""
    heads = ["natural, success", "seeds", "dense", "base", "team alone", "team with the base"]
    heads += ["base - dense", "base / team", "team with - without", "p, each seed"]
    heads += ["natural F1, team with - without"]
    rows = []
    for arm, seeds in courses.items():
        done = {s: c for s, c in seeds.items() if c.dense_right}
        if not done:
            continue
        kept = mask(questions, "natural", answered=True)
        every = mask(questions, "natural")
        last = {s: c.nights[-1] for s, c in done.items()}
        base = np.mean([bits(n)[kept] for n in last.values()], axis=0)
        dense = np.mean([bits(c.dense_right)[kept] for c in done.values()], axis=0)
        alone = np.mean([bits(c.team_right[""])[kept] for c in done.values()], axis=0)
        ours = np.mean([bits(c.team_right[last[s].version])[kept] for s, c in done.items()], axis=0)
        tests = []
        for s, c in done.items():
            changed = bits(c.team_right[last[s].version])[kept] - bits(c.team_right[""])[kept]
            tests.append(f"{mcnemar(int((changed > 0).sum()), int((changed < 0).sum())):.2g}")
        f1 = [
            np.subtract(c.team_f1[last[s].version], c.team_f1[""])[every] / 100
            for s, c in done.items()
            if c.team_f1
        ]
        rows.append(
            [
                arm,
                ", ".join(map(str, done)),
                *(f"{v.mean():.3f}" for v in (dense, base, alone, ours)),
                difference(base - dense),
                f"{base.mean() / ours.mean():.0%}",
                difference(ours - alone),
                ", ".join(tests),
                difference(np.mean(f1, axis=0)) if len(f1) == len(done) else "-",
            ]
        )
    return "\n".join(
        ["### Base model, dense retrieval and team, last night", "", *table(heads, rows), ""]
    )


def falls(courses: dict[str, dict[int, Course]], questions: Sequence[Question]) -> str:
    """The furthest that a version that answers fell behind the one of the night before."""
    heads = ["arm", "seed", "worst night", "change in right answers", "detectable", "beyond it"]
    rows = []
    everything = mask(questions, "")
    for arm, seeds in courses.items():
        for seed, course in seeds.items():
            steps = []
            for before, after in zip(course.nights, course.nights[1:], strict=False):
                changed = (bits(after) - bits(before))[everything]
                seen = detectable(int(np.abs(changed).sum()), len(changed))
                steps.append((float(changed.mean()), seen, after.night[:10]))
            if steps:
                change, seen, night = min(steps)
                worse = sum(c < -s for c, s, _ in steps)
                rows.append([arm, seed, night, f"{change:+.3f}", f"{seen:.3f}", worse])
    return "\n".join(
        ["### The furthest fall from one night to the next", "", *table(heads, rows), ""]
    )


def draw(courses: dict[str, dict[int, Course]], path: Path) -> None:
    """The means over the seeds night by night, in a row of panels for each group of arms; a band
    reaches from the lowest seed to the highest."""
    from matplotlib.figure import Figure

    groups = {
        "parts of the loop": [arm for arm in courses if not ERRING.search(arm)],
        "a team that errs, answers unchecked": [
            arm for arm in courses if arm == AIMED or ERRING.search(arm)
        ],
    }
    # The aimed arm alone is a row of its own, but no second one.
    groups = {title: arms for title, arms in groups.items() if {*arms} - {AIMED}} or {
        "every night": [*courses]
    }
    figure = Figure(figsize=(11, 4 * len(groups)), layout="constrained")
    rows = figure.subplots(len(groups), 2, sharex=True, sharey="col", squeeze=False)
    for (title, arms), panels in zip(groups.items(), rows, strict=True):
        for panel, metric in zip(panels, DRAWN, strict=True):
            for arm in arms:
                draw_curve(panel, arm, [*courses[arm].values()], metric)
            panel.set(title=f"{metric.replace('/report/', ', ')}: {title}", xlabel="nights")
            panel.grid(alpha=0.3)
        dense = next(iter(courses[arms[0]].values())).dense.get(DRAWN[1])
        if dense:
            panels[1].axhline(dense, linestyle="--", color="gray", label="dense retrieval")
        panels[1].legend(fontsize=7)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def draw_curve(panel: Any, arm: str, courses: Sequence[Course], metric: str) -> None:
    """An arm's mean over the seeds, as far as all of them lived, and the band of the seeds."""
    nights = min(len(course.nights) for course in courses)
    drawn = np.array([[n.scores[metric] for n in c.nights[:nights]] for c in courses])
    style = {"marker": "o", "markersize": 3, "linewidth": 2.5 if arm == AIMED else 1.2}
    x = range(1, nights + 1)
    (line,) = panel.plot(x, drawn.mean(axis=0), label=arm, **style)
    low, high = drawn.min(axis=0), drawn.max(axis=0)
    panel.fill_between(x, low, high, alpha=0.08, color=line.get_color())


def mask(questions: Sequence[Question], source: str, answered: bool = False) -> np.ndarray:
    """Which questions, ordered by id, are of the report half, of a source, and have an answer."""
    return np.array(
        [
            q.half == "report"
            and source in ("", q.source)
            and not (answered and q.kind in (TaskKind.NONE, TaskKind.FACT))
            for q in sorted(questions, key=lambda q: q.id)
        ]
    )


def bits(night: Lived | str) -> np.ndarray:
    return np.array([*map(int, night if isinstance(night, str) else night.right)], float)


def difference(changes: np.ndarray) -> str:
    low, high = bootstrap_interval(changes.tolist())
    return f"{changes.mean():+.3f} [{low:+.3f}, {high:+.3f}]"


def spread(values: np.ndarray) -> str:
    return f"{values.mean():.3f}" + (
        f" ({values.min():.2f} to {values.max():.2f})" if len(values) > 1 else ""
    )


def mean(values: object) -> str:
    return f"{np.mean([float(v) for v in values]):.1f}"  # type: ignore[attr-defined]


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in lines]


if __name__ == "__main__":
    main()
