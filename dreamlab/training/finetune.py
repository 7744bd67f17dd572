"""Fine-tuning: examples and a parent in, an adapter folder out, by one of several strategies.

Everything is written to a working folder beside the target, which a killed training resumes
from, and the finished adapter is renamed into place (`frame.py`). What is learnt and whether it
is any good is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dreamlab.errors import DreamLabError, TrainingError
from dreamlab.models.completion import CompletionFormat
from dreamlab.models.compute import give_back_memory
from dreamlab.models.decoder import CARD, StartModel, load_start
from dreamlab.settings import Settings
from dreamlab.training.frame import (
    Job,
    Progress,
    Reward,
    Strategy,
    Trained,
    continues,
    finished,
    plan_of,
    run,
)
from dreamlab.training.preference import preferred
from dreamlab.training.reinforcement import reinforced
from dreamlab.training.sft import supervised

STRATEGIES: dict[str, Strategy] = {"sft": supervised, "dpo": preferred, "grpo": reinforced}
"""How the base model may be trained, by name."""


def finetune(
    rows: Sequence[Mapping[str, Any]],
    *,
    base_model: str,
    format: CompletionFormat,
    settings: Settings,
    folder: Path,
    parent: Path | None,
    seed: int,
    strategy: str = "sft",
    reward: Reward | None = None,
    progress: Progress | None = None,
) -> Trained:
    """Train an adapter on `rows` and leave it in `folder`, in safetensors with its card.

    It goes on from the parent's adapter, or afresh where the parent has another base model or
    knows less than half of the directory's needs, groups and places. The same arguments again
    resume a killed training, and return a finished one; same arguments, same adapter.

    Args:
        rows: each with the texts that the strategy learns from; for `sft` a `prompt` (a question)
            and its `completion` (the canonical one).
        base_model: `embedded`, a hub id or a local folder.
        format: the parts a completion may have.
        settings: epochs, peak learning rate, rank and threads.
        folder: where the adapter shall be; its working folder lies beside it.
        parent: adapter folder of the version to go on from.
        seed: of the order of examples, of dropout and of the adapter's start.
        strategy: a name in `STRATEGIES`. All learn from the same rows on as many tokens; those
            other than `sft` begin with it and go on with what the model itself writes.
        reward: judges that; `sft` needs none.
        progress: called with (steps done, steps in all), of each stage by itself.

    Raises:
        TrainingError: there are no rows, `folder` is in use, or it cannot be written.
        ModelError: the base model or the parent's adapter cannot be loaded.
    """
    if not rows:
        raise TrainingError("there are no examples to train on; dream first")
    start = load_start(base_model, format, settings, training=True)
    settings = _within_budget(settings, start, rows)
    parent = parent if parent and continues(parent, start, format) else None
    work = folder.with_name(f".{folder.name}.training")
    job = Job(strategy, rows, start, format, settings, work, parent, seed, progress, reward)
    if (folder / CARD).is_file():
        return finished(folder, plan_of(job))
    try:
        return run(job, STRATEGIES[strategy], folder)
    except DreamLabError:
        raise
    except Exception as error:  # a door: a full disk surfaces as several unrelated classes
        raise TrainingError(
            f"training in {folder.parent} stopped: {_line(error)}; free space, fix its rights or "
            "set DREAMLAB_HOME, then run it again to resume"
        ) from error
    finally:
        give_back_memory()


def _within_budget(
    settings: Settings, start: StartModel, rows: Sequence[Mapping[str, Any]]
) -> Settings:
    """The settings with no more passes than the setting `training_tokens` allows."""
    read = sum(
        len(start.prompt(str(row["prompt"]))) + len(start.completion(str(row["completion"])))
        for row in rows
    )
    passes = min(settings.training_epochs, settings.training_tokens / read)
    return settings.model_copy(update={"training_epochs": passes})


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200] or type(error).__name__
