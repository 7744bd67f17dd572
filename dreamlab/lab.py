"""The composition root: one `Lab` holds the parts of an installation, each opened when first used.

Everything above (dreaming, learning, flows, faces) works on a `Lab`; nothing below knows of it.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from dreamlab.errors import DreamLabError, StorageError
from dreamlab.records import Arm, Experience, Hearing, Memory, Referral, Task, deaf
from dreamlab.settings import Settings, load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from dreamlab.agents.asking import Models, Occasion
    from dreamlab.agents.base import BaseModel
    from dreamlab.agents.team import Team
    from dreamlab.directory.catalog import Catalog
    from dreamlab.directory.phrases import PhraseBank
    from dreamlab.exploration.reward import Checked
    from dreamlab.memory.reflection import LookBack
    from dreamlab.memory.store import MemoryStore
    from dreamlab.models.completion import CompletionFormat
    from dreamlab.models.decoder import Decoder
    from dreamlab.models.embedding import Embedder
    from dreamlab.models.evidence import Evidence
    from dreamlab.models.projection import Projection
    from dreamlab.privacy.masking import Masker
    from dreamlab.training.benchmark import Benchmark
    from dreamlab.training.registry import Registry

T = TypeVar("T")
Clock = Callable[[], datetime]


Progress = Callable[[str, int, int], None]
"""Told of long work: what is being done, steps done, steps in all."""


def _silent(what: str, done: int, total: int) -> None:
    pass


def _utc_now() -> datetime:
    return datetime.now(UTC)


class _of_directory(Generic[T]):
    """A part that hangs on the directory's rows: made when asked for, and anew when they change.

    All of a lab are made under its one lock, so that they are always of the same rows.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make, self.__doc__ = make, make.__doc__

    def __set_name__(self, owner: type[Lab], name: str) -> None:
        self._name = name

    def __get__(self, lab: Lab | None, owner: type[Lab] | None = None) -> T:
        if lab is None:
            return cast(T, self)
        with lab.parts:
            if self._name not in lab.__dict__:  # from then on it is found there, without a lock
                lab.__dict__[self._name] = self._make(lab)
            return cast(T, lab.__dict__[self._name])


class Lab:
    """The parts of one installation. Opening a lab costs nothing; each part opens when asked for.

    A lab that lives long takes up a directory that was imported meanwhile: see `refresh`.

    Args:
        settings: what this place is like.
        clock: returns the present as an aware datetime; tests give their own.
        arm: the arm of an experiment that it lives; a lab that serves people lives none.
    """

    def __init__(self, settings: Settings, clock: Clock = _utc_now, arm: Arm | None = None) -> None:
        self.settings = settings
        self.arm = arm or Arm()
        self.now = clock
        self.progress: Progress = _silent
        self._learnt = lru_cache(maxsize=2)(self._load_version)
        self._bases = lru_cache(maxsize=2)(self._load_base)
        self.parts = threading.RLock()

    @_of_directory
    def catalog(self) -> Catalog:
        """The directory answered from."""
        from dreamlab.directory.catalog import open_directory, stamp

        self._stamp = stamp(self.settings.directory, self.settings)
        return open_directory(self.settings.directory, self.settings)

    def refresh(self) -> None:
        """Take up the directory's files if they have changed: what starts now, works on them.

        What is under way finishes on the rows that it began with. A directory that cannot be read
        changes nothing, and the log says so, once.
        """
        from dreamlab.directory.catalog import open_directory, stamp
        from dreamlab.directory.phrases import load_phrases

        with self.parts:
            found = stamp(self.settings.directory, self.settings)
            if self._stamp in (None, found):
                return
            self._stamp = found
            log = logging.getLogger(__name__)
            try:
                catalog = open_directory(self.settings.directory, self.settings)
                phrases = load_phrases(catalog)
            except DreamLabError as error:
                log.warning("the changed directory cannot be read, the old one stays: %s", error)
                return
            for name in OF_DIRECTORY:
                self.__dict__.pop(name, None)
            self.__dict__.update(catalog=catalog, phrases=phrases)
            self._bases.cache_clear()
            self._everyday = self._nightly = None
            log.info("directory %s has changed: %d services", catalog.name, len(catalog))

    _stamp: tuple[object, ...] | None = None

    @_of_directory
    def phrases(self) -> PhraseBank:
        """How people speak of the directory's needs and groups."""
        from dreamlab.directory.phrases import load_phrases

        return load_phrases(self.catalog)

    @cached_property
    def embedder(self) -> Embedder:
        """The sentence encoder shared by memory, search and the checks."""
        from dreamlab.models.embedding import open_embedder

        return open_embedder(self.settings)

    @cached_property
    def memory(self) -> MemoryStore:
        """The lab's memory."""
        from dreamlab.memory.store import open_store

        self.check_home()
        return open_store(self.settings, self.embedder)

    @_of_directory
    def masker(self) -> Masker:
        """What masks personal data; it knows this directory's words, places and numbers.

        Raises:
            SettingsError: no phone numbers are known of the setting `phone_country`.
        """
        from dreamlab.privacy.masking import Masker

        rows = (
            f"{s.text}. {s.address}. {s.phone}. {s.how_to_apply}" for s in self.catalog.services
        )
        texts = (*rows, *self.phrases.texts(), self.catalog.helpline)
        return Masker(texts, self.catalog.places, self.settings.phone_country)

    def mask(self, text: str) -> str:
        """What a person wrote, as it may be kept: personal data masked, unless settings say not to.

        Whatever writes down a question (memory, a trace, a log) passes it through here.
        """
        return self.masker.mask(text) if self.settings.mask_questions else text

    @cached_property
    def registry(self) -> Registry:
        """The model registry and run tracking."""
        from dreamlab.training.registry import Registry

        return Registry(self.settings)

    @_of_directory
    def benchmark(self) -> Benchmark:
        """The questions that versions are measured on, and never trained on."""
        from dreamlab.training.benchmark import load_benchmark

        return load_benchmark(self.catalog)

    @_of_directory
    def format(self) -> CompletionFormat:
        """What the base model may write about this directory."""
        from dreamlab.models.completion import CompletionFormat

        return CompletionFormat(self.catalog.needs, self.catalog.groups, self.catalog.places)

    @_of_directory
    def evidence(self) -> Evidence:
        """What the base model reads before a question."""
        from dreamlab.models.evidence import Evidence

        s = self.settings
        return Evidence(self.catalog, self.phrases, self.embedder, s.cache_path, s.open_book)

    @cached_property
    def models(self) -> Models | None:
        """The language models that the settings name; None in a lab that needs none.

        Raises:
            SettingsError: an endpoint is named in part, or the client is not installed.
        """
        s = self.settings
        urls = (s.llm_url, s.llm_lead_url, s.llm_expert_url, s.llm_judge_url)
        names = (s.llm_model, s.llm_lead_model, s.llm_expert_model, s.llm_judge_model)
        if not any((*urls, *names)):
            return None
        from dreamlab.agents.asking import open_models

        return open_models(s)

    def base_from(self, adapter: Path | None, version: str) -> BaseModel:
        """The base model with an adapter (None: as it was before any training)."""
        with self.parts:
            return self._based(version, *self._load_learnt(adapter, self.format))

    def _based(self, version: str, decoder: Decoder, projection: Projection | None) -> BaseModel:
        from dreamlab.agents.base import BaseModel

        return BaseModel(decoder, self.format, self.catalog, version, self.evidence, projection)

    @cached_property
    def reward(self) -> Checked:
        """What completions are worth, where a training learns from those that it writes itself."""
        from dreamlab.agents.base import BaseModel
        from dreamlab.exploration.reward import Checked

        base = BaseModel(None, self.format, self.catalog, "", self.evidence)
        return Checked(base, self.evidence)

    def base(self, version: str = "") -> BaseModel | None:
        """The registered base model `version`; by default the champion; None if there is none.

        Raises:
            RegistryError: the version is missing or its files are damaged.
        """
        if not version:
            champion = self.registry.champion()
            if champion is None:
                return None
            version = str(champion.number)
        return self.version(version)

    def version(self, number: str) -> BaseModel:
        """The registered base model of that number; the latest two are kept in memory.

        Raises:
            RegistryError: the version is missing or its files are damaged.
        """
        with self.parts:
            return self._bases(number)

    def _load_base(self, version: str) -> BaseModel:
        return self._based(version, *self._learnt(version, self.format))

    def _load_version(
        self, version: str, format: CompletionFormat
    ) -> tuple[Decoder, Projection | None]:
        return self._load_learnt(self.adapter(int(version)), format)

    def _load_learnt(
        self, adapter: Path | None, format: CompletionFormat
    ) -> tuple[Decoder, Projection | None]:
        """What a training has left in an adapter's folder."""
        from dreamlab.models.decoder import load_decoder
        from dreamlab.models.projection import load_projection

        decoder = load_decoder(self.settings.base_model, adapter, format, self.settings)
        return decoder, load_projection(adapter, self.embedder)

    def adapter(self, number: int) -> Path | None:
        """The adapter folder of a registered version; None for the untouched one.

        Raises:
            RegistryError: the version is missing or its files are damaged.
        """
        return None if self.registry.version(number).untouched else self.registry.fetch(number)

    def recall(self, text: str, limit: int = 5, **filters: Any) -> list[Memory]:
        """The memories most relevant to a text that still hold by the directory of today: none
        speaks of a service that has closed. `filters` as `MemoryStore.recall` has them.

        Raises:
            RecallError: the store is damaged or was made with another embedding model.
        """
        self.refresh()
        return self._recall(self.catalog, text, limit, **filters)

    def _recall(self, catalog: Catalog, text: str, limit: int, **filters: Any) -> list[Memory]:
        from dreamlab.memory.outdated import current

        return current(partial(self.memory.recall, text, **filters), catalog, limit)

    def team(self, base: BaseModel | None, before_night: str = "") -> Team:
        """A team with this base model that recalls only what earlier nights left.

        A night must not recall itself: its result would depend on where it was interrupted.
        """
        from dreamlab.agents.team import Team

        with self.parts:
            catalog = self.catalog

            def recall(text: str, limit: int = 5) -> list[Memory]:
                return self._recall(catalog, text, limit, before_night=before_night or None)

            return Team(
                catalog, self.phrases, self.embedder, recall, base, self.settings.cache_path
            )

    def night_team(self, version: str, night: str) -> Team:
        """The team of one night: base model `version` (none if empty), memories before it; on the
        directory as it is now."""
        key = (version, night)
        with self.parts:
            self.refresh()
            if self._nightly is None or self._nightly[0] != key:
                base = self.base(version) if version else None
                self._nightly = (key, self._with_models(self.team(base, night)))
            return self._nightly[1]

    def _with_models(self, team: Team) -> Team:
        if self.models:
            crew = self.settings.llm_orchestrator == "crewai"
            team.seat(self.models, self._occasion, self.settings.llm_parallel, crew, self.mask)
        return team

    def _occasion(self, task: Task) -> Occasion:
        """Who pays for a task: the night it is dreamt in, or the day it is asked on. What a model
        replied to a person is not kept: it may repeat what the person said."""
        from dreamlab.agents.asking import Occasion
        from dreamlab.records import TaskKind

        asked = task.kind == TaskKind.ASKED
        account = task.night if asked else self.account
        return Occasion(account, task.key, keep=not asked)

    @property
    def has_language_lead(self) -> bool:
        """Whether the lead is a language model."""
        return self.models is not None and "lead" in self.models.by_role

    def look_back(self, night: str) -> LookBack | None:
        """What asks the lead to look back on a night; None where it is no language model."""
        if not self.has_language_lead:
            return None
        from dreamlab.agents.asking import Occasion

        team = self._nightly[1] if self._nightly else self._with_models(self.team(None, night))
        if team.roundtable is None:
            return None
        return partial(
            team.roundtable.look_back, occasion=Occasion(self.account, f"{night}/reflection")
        )

    account = ""
    """The night whose budget pays for the dreams of the session that runs now."""

    def solve(
        self, question: str, context: Referral | None = None, hear: Hearing = deaf
    ) -> Experience:
        """The team's answer to one question now, by the champion. Safe in several threads.

        It is remembered only where the setting `remember_questions` says so, and then masked.
        `hear` is told of each role's answer while the team works.

        Raises:
            QuestionError: the question is empty or too long.
        """
        now = self.now()
        question = question.encode("utf-8", "replace").decode()  # a shell can pass half a character
        # "asked" sorts before "day" and "night": the dreams of the same date may recall it.
        night = f"{now.astimezone(self.settings.zone).date()}-asked"
        task = Task(f"q{uuid.uuid4().hex[:12]}", question, night=night)
        answers = self.everyday_team.solve(task, context, hear)
        experience = Experience(task, tuple(answers), now)
        kept: Experience | None = None
        if self.settings.remember_questions:
            masked = self.settings.mask_questions
            kept = self.masker.mask_experience(experience) if masked else experience
            self.memory.append([kept])
        self._leave_trace(kept or experience, texts=kept is not None)
        return experience

    def _leave_trace(self, experience: Experience, texts: bool) -> None:
        """Leave the trace of an answered question to be sent later; its failure fails no answer."""
        if self.settings.traces == "off":
            return
        from dreamlab.tracing import leave, trace_of

        try:
            leave(self.settings.traces_path, trace_of(experience, str if texts else None))
        except OSError as error:
            logging.getLogger(__name__).warning("the trace of an answer is lost: %s", error)

    @property
    def everyday_team(self) -> Team:
        """The team that answers people: the champion, all memories, the directory as it is now."""
        with self.parts:
            self.refresh()
            base = self.base()
            if self._everyday is None or self._everyday[0] is not base:
                _ = self.memory  # opened here, by one thread, and not at the first recall
                self._everyday = (base, self._with_models(self.team(base)))
            return self._everyday[1]

    _nightly: tuple[tuple[str, str], Team] | None = None
    _everyday: tuple[BaseModel | None, Team] | None = None

    def asked(self, limit: int = 200) -> Sequence[Experience]:
        """What users asked lately, the newest last; empty where questions are not remembered."""
        from dreamlab.records import TaskKind

        return [e for e in self.memory.experiences() if e.task.kind == TaskKind.ASKED][-limit:]

    def check_home(self) -> None:
        """Make the data folder and try to write in it.

        Raises:
            StorageError: it cannot be made or written.
        """
        from dreamlab.files import write_atomic

        home = self.settings.home
        if home.exists() and not home.is_dir():
            raise StorageError(
                f"{home} is a file, not a folder; set DREAMLAB_HOME to another place"
            )
        write_atomic(home / ".writable", "")


OF_DIRECTORY = tuple(name for name, part in vars(Lab).items() if isinstance(part, _of_directory))
"""The parts that hang on the directory."""


def open_lab(settings: Settings | None = None, clock: Clock = _utc_now) -> Lab:
    """A lab for these settings, by default those of the environment.

    Raises:
        SettingsError: a setting is unknown or has a bad value.
    """
    return Lab(settings or load_settings(), clock)
