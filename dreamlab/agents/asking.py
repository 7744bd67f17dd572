"""A role asks its language model: what it answered before, else a request, one repair, or failure.

A reply counts when it is of the schema and passes the role's own check. Whoever asks gives the
offline answer when this fails; nothing is decided here about services.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from dreamlab.agents.ledger import Ledger, Limits, TaskMeter
from dreamlab.agents.models import ROLES, Breakers, ChatModel, endpoint_of
from dreamlab.agents.prompting import Prompt, prompt
from dreamlab.agents.replies import Structured, read
from dreamlab.errors import LanguageModelError
from dreamlab.records import ModelUse
from dreamlab.settings import Settings

T = TypeVar("T", bound=Structured)
Check = Callable[[T], str]
"""What is wrong with a reply of the right schema, in words; empty when nothing is."""

UNUSABLE = ("malformed", "wrong_schema", "too_long")
"""Failures after which the model is asked once more, with the problem named."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """For what a role is asked: the account that pays (a night, or a day's questions), the task,
    and whether what is answered may be kept."""

    account: str
    task: str
    keep: bool = True


@dataclass(frozen=True)
class Models:
    """The language models of a lab, by role, with their common ledger and limits."""

    by_role: Mapping[str, ChatModel]
    ledger: Ledger
    limits: Limits

    def meter(self, role: str, occasion: Occasion) -> TaskMeter:
        """A meter for one role's requests on one occasion."""
        at = self.by_role[role].endpoint
        return TaskMeter(
            self.ledger,
            occasion.account,
            occasion.task,
            self.limits,
            at.model,
            (at.price_in, at.price_out),
        )

    def exhausted(self, account: str) -> bool:
        """Whether the budget of a night, or of a day's questions, is spent."""
        return self.ledger.exhausted(account)

    def ask(
        self,
        role: str,
        request: Prompt,
        kind: type[T],
        check: Check[T],
        meter: TaskMeter,
        *,
        keep: bool,
    ) -> T:
        """The reply of a role's model to a request.

        Raises:
            LanguageModelError: no usable reply is to be had; `code` says why.
        """
        model = self.by_role[role]
        key = _key(model, request, kind)
        if keep and (kept := self.ledger.recall(key)) is not None:
            try:
                known = _usable(kind, kept, check)
            except LanguageModelError:
                pass  # the directory or the prompt's check has changed since
            else:
                meter.use = replace(meter.use, remembered=True)
                return known
        schema = kind.model_json_schema()
        text = model.complete(request.messages, schema, meter).text
        try:
            reply = _usable(kind, text, check)
        except LanguageModelError as problem:
            if problem.code not in UNUSABLE:
                raise
            again = _repair(request, kind, text, str(problem))
            reply = _usable(kind, model.complete(again.messages, schema, meter).text, check)
        if keep:
            self.ledger.keep(key, model.endpoint.model, reply.model_dump_json())
        return reply


def open_models(settings: Settings, breakers: Breakers | None = None) -> Models | None:
    """The language models that the settings name; None if they name none.

    Raises:
        SettingsError: an endpoint is named in part, or the client is not installed.
    """
    found = {role: endpoint_of(settings, role) for role in ROLES}
    breakers = breakers or Breakers()
    made = {
        endpoint: ChatModel(
            endpoint,
            timeout=settings.llm_timeout,
            retries=settings.llm_retries,
            max_tokens=settings.llm_max_tokens,
            breakers=breakers,
        )
        for endpoint in dict.fromkeys(filter(None, found.values()))
    }
    if not made:
        return None
    models = {role: made[endpoint] for role, endpoint in found.items() if endpoint is not None}
    limits = Limits(
        settings.llm_night_tokens, settings.llm_answer_tokens, settings.llm_night_dollars
    )
    return Models(models, Ledger(settings.llm_path), limits)


def added(uses: list[ModelUse], fallback: str = "", cut: int = 0) -> ModelUse:
    """What several roles used, together."""
    return ModelUse(
        ", ".join(dict.fromkeys(use.model for use in uses)),
        sum(use.calls for use in uses),
        sum(use.tokens_in for use in uses),
        sum(use.tokens_out for use in uses),
        sum(use.dollars for use in uses),
        cut,
        fallback,
        bool(uses) and all(use.remembered for use in uses) and not sum(u.calls for u in uses),
    )


def _usable(kind: type[T], text: str, check: Check[T]) -> T:
    reply = read(kind, text)
    if problem := check(reply):
        raise LanguageModelError("wrong_schema", problem)
    return reply


def _repair(request: Prompt, kind: type[T], text: str, problem: str) -> Prompt:
    mended = prompt(
        "repair",
        {"reply": text[:2_000], "problem": problem[:300]},
        request=request.user,
        fields=", ".join(f"`{name}`" for name in kind.model_fields),
    )
    return Prompt(f"{request.system}\n\n{mended.system}", mended.user)


def _key(model: ChatModel, request: Prompt, kind: type[Structured]) -> str:
    asked = [
        model.endpoint.url,
        model.endpoint.model,
        model.max_tokens,
        *request.unmarked,
        kind.model_json_schema(),
    ]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
