"""What differs from place to place: one frozen class, read from `DREAMLAB_*` and nothing else.

What differs from run to run is a flow's parameter or a command's option, not a setting.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dreamlab.errors import SettingsError

PREFIX = "DREAMLAB_"
EMBEDDED = "embedded"

Hour = Annotated[int, Field(ge=0, le=23)]
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseSettings):
    """The lab's settings. Build it with `load_settings`, which checks names as well."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    home: Path = Path("~/.dreamlab")
    """Folder of everything the lab writes: memory, nights, runs, versions."""

    memory_path: Path = Field(default_factory=lambda data: data["home"] / "memory")
    """Folder of the LanceDB store."""

    training_data_path: Path = Field(default_factory=lambda data: data["home"] / "training")
    """Folder of exported datasets and checkpoints, one folder for each training."""

    directory: str = "kern"
    """The directory answered from: the name of a shipped or imported one."""

    embedding_model: str = EMBEDDED
    """`embedded` (all-MiniLM-L6-v2 from its package), a hub id or a local folder."""

    base_model: str = EMBEDDED
    """`embedded` (the same MiniLM run as a decoder), a hub id or a local folder."""

    open_book: bool = True
    """Whether the base model reads what the directory suggests before each question. The embedded
    one always does: it chooses among what it reads."""

    downtime_start_hour: Hour = 22
    """Hour at which the downtime window opens, in `time_zone`."""

    downtime_end_hour: Hour = 6
    """Hour at which it closes; equal hours mean that it is always open."""

    time_zone: str = "America/Los_Angeles"
    """IANA time zone of the window."""

    auto_schedule_dreams: bool = True
    """Whether a host application begins to dream on schedule as soon as it starts."""

    dream_time: Annotated[str, Field(pattern=r"^([01]?\d|2[0-3]):[0-5]\d$")] = "02:00"
    """Local time, in `time_zone`, at which scheduled dreaming starts; inside the window."""

    dream_duration: Annotated[int, Field(ge=1, le=24 * 60)] = 60
    """Minutes that the dreams of one night may take, training not counted."""

    dream_task_count: Annotated[int, Field(ge=1, le=10_000)] = 120
    """Dreams a night."""

    dream_strategy: Literal["curriculum", "breadth", "random"] = "curriculum"
    """How dreams are chosen when the run does not say."""

    late_runs: Literal["latest", "skip"] = "latest"
    """What becomes of scheduled runs that start late, inside the window: the latest of those
    missed is caught up, or all are skipped."""

    late_after: Annotated[int, Field(ge=1)] = 30
    """Minutes after its scheduled time from which a run counts as late."""

    retry_seconds: Annotated[float, Field(gt=0, le=600)] = 10
    """Pause before a failed step is tried again; doubled each time, five times at most."""

    batches_at_once: Annotated[int, Field(ge=1, le=1000)] = 1
    """Batches of dreams under way at once in a flow run. One is best where the team computes on
    this machine's cores; more where it waits for language models or has a cluster."""

    task_runner: Literal["threads", "dask", "ray"] = "threads"
    """What runs them: threads of the flow run, or a Dask or Ray cluster (extras of these names)."""

    cluster_address: str = ""
    """Address of that cluster; empty starts one on this machine for each night."""

    min_examples_for_training: Annotated[int, Field(ge=1)] = 50
    """Examples, new since the last training, that a fine-tuning needs."""

    training_epochs: Annotated[float, Field(gt=0, le=1000)] = 4
    """Passes over the training set of one fine-tuning, with each example in several wordings."""

    training_tokens: Annotated[int, Field(ge=100)] = 250_000
    """Most tokens that one fine-tuning reads, whatever has gathered: a night stays bounded."""

    learning_rate: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    """Peak learning rate of the adapter."""

    lora_rank: Annotated[int, Field(ge=1, le=512)] = 64
    """Rank of the LoRA adapter."""

    training_strategy: Literal["sft", "dpo", "grpo"] = "sft"
    """How the base model learns: to write what is right (`sft`), and for the last quarter of the
    tokens to prefer it to what it wrote wrongly itself (`dpo`) or to write what the check rewards
    (`grpo`)."""

    training_precision: Literal["auto", "bfloat16", "float32"] = "auto"
    """What training multiplies in; `auto` is bfloat16 where the GPU or CPU has units for it."""

    training_weights: Literal["full", "4bit"] = "full"
    """How a larger base model's frozen weights are held while its adapter is trained: in full, or
    in four bits (QLoRA; extra `qlora`)."""

    training_compile: bool = False
    """Whether a larger base model's layers are compiled for training."""

    training_checkpointing: bool = False
    """Whether activations are computed again on the way back instead of kept: a third slower, in a
    fraction of the memory. For a larger base model."""

    max_loss_share: Share = 0.2
    """Share of the champion's right answers that a challenger may lose."""

    score_team: bool = True
    """Whether a training scores the whole team as well; it is what people meet, and two thirds of
    an evaluation's time."""

    remember_questions: bool = False
    """Whether questions that people ask are kept in memory, where dreams imitate their wording.
    Off by default: masking finds most personal data in them, not all (docs/privacy.md)."""

    mask_questions: bool = True
    """Whether names, phone numbers, addresses, dates of birth, social security and case numbers are
    masked in what people ask before it is kept anywhere."""

    keep_questions_days: Annotated[int, Field(ge=0)] = 90
    """Days after which questions that people asked are forgotten, at the end of a night; 0 means
    never."""

    phone_country: Annotated[str, Field(pattern="^[A-Z]{2}$")] = "US"
    """ISO code of the country whose phone numbers people write without a +."""

    threads: Annotated[int, Field(ge=0)] = 0
    """Threads for tensor work; 0 means as many as this process has cores."""

    traces: Literal["off", "asked", "all"] = "all"
    """Which solves leave a trace for MLflow: questions that people ask, dreams as well, or none.
    Of questions people ask a trace keeps texts only where `remember_questions` is on."""

    tracking_uri: str = ""
    """MLflow tracking server; empty means SQLite in `home`."""

    llm_url: str = ""
    """OpenAI-compatible endpoint of every role that names none of its own; empty means that the
    team needs no language model."""

    llm_model: str = ""
    """Model of every role that names none of its own."""

    llm_api_key: SecretStr = SecretStr("")
    """Key for `llm_url`, and for no other endpoint."""

    llm_lead_url: str = ""
    """Endpoint of the lead, which writes the answer, the reflections and the open dreams."""

    llm_lead_model: str = ""
    """Model of the lead."""

    llm_lead_api_key: SecretStr = SecretStr("")
    """Key for `llm_lead_url`."""

    llm_expert_url: str = ""
    """Endpoint of the three experts."""

    llm_expert_model: str = ""
    """Model of the three experts."""

    llm_expert_api_key: SecretStr = SecretStr("")
    """Key for `llm_expert_url`."""

    llm_judge_url: str = ""
    """Endpoint of the judge, which reads the answers to open dreams."""

    llm_judge_model: str = ""
    """Model of the judge."""

    llm_judge_api_key: SecretStr = SecretStr("")
    """Key for `llm_judge_url`."""

    llm_prices: str = ""
    """Dollars for a million tokens read and written, as `MODEL=0.15/0.60`, separated by blanks; a
    model that is not named costs nothing."""

    llm_timeout: Annotated[float, Field(gt=0, le=3600)] = 60
    """Seconds that one request may take in all."""

    llm_retries: Annotated[int, Field(ge=0, le=10)] = 2
    """How often a request that failed is tried again, with back-off and jitter."""

    llm_max_tokens: Annotated[int, Field(ge=16)] = 700
    """Tokens that a model may write in one reply."""

    llm_parallel: Annotated[int, Field(ge=1, le=64)] = 4
    """Questions put to the models at the same time."""

    llm_answer_tokens: Annotated[int, Field(ge=1)] = 80_000
    """Tokens, read and written, that one answer may take."""

    llm_night_tokens: Annotated[int, Field(ge=1)] = 2_000_000
    """Tokens that one night may take, and again the questions of one day."""

    llm_night_dollars: Annotated[float, Field(ge=0)] = 0.0
    """Dollars that one night may cost, and again the questions of one day; 0 sets no bound."""

    llm_open_dreams: Annotated[int, Field(ge=0, le=1000)] = 6
    """Open dreams a night, beside the others, where the lead is a language model."""

    llm_orchestrator: Literal["own", "crewai"] = "own"
    """Who lets the roles speak in turn: this lab, or CrewAI (extra `crewai`)."""

    train_on_judged: bool = False
    """Whether an open dream that the judge passed may be learnt from."""

    api_auth: Literal["remote", "always"] = "remote"
    """Who must show a token to the web API: clients that are not on this machine, or all."""

    api_tokens: SecretStr = SecretStr("")
    """Bearer tokens of the web API, separated by commas; from the environment only."""

    api_rate_limit: str = "120/minute"
    """Requests that the web API takes from one address."""

    api_rate_storage: str = "memory://"
    """Where requests are counted: each process for itself, or `redis://…` for all together."""

    api_time_limit: Annotated[float, Field(gt=0, le=3600)] = 60
    """Seconds that the web API waits for an answer of the team."""

    mlflow_url: str = ""
    """Address of MLflow's pages, for links in reports; empty means those of `tracking_uri`."""

    alert_url: SecretStr = SecretStr("")
    """Address that `dreamlab up` lets Prefect send alerts to, as JSON; never logged."""

    @field_validator("home", "memory_path", "training_data_path")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("not an IANA time zone such as America/Los_Angeles")
        return value

    @field_validator("llm_url", "llm_lead_url", "llm_expert_url", "llm_judge_url")
    @classmethod
    def _http(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("not an http(s) address such as http://127.0.0.1:11434/v1")
        return value

    @field_validator("open_book")
    @classmethod
    def _closed_for_others(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("base_model") == EMBEDDED:
            raise ValueError(
                "the embedded base model chooses among what it reads; set DREAMLAB_BASE_MODEL to "
                "another or leave the book open"
            )
        return value

    @field_validator("llm_prices")
    @classmethod
    def _readable_prices(cls, value: str) -> str:
        read_prices(value)
        return value

    @property
    def prices(self) -> dict[str, tuple[float, float]]:
        """Dollars for a million tokens read and written, by model."""
        return read_prices(self.llm_prices)

    @property
    def llm_path(self) -> Path:
        """SQLite file of what language models cost and what they answered."""
        return self.home / "llm" / "ledger.db"

    @property
    def zone(self) -> ZoneInfo:
        """The window's time zone."""
        return ZoneInfo(self.time_zone)

    @property
    def directories_path(self) -> Path:
        """Folder of imported directories, one folder each."""
        return self.home / "directories"

    @property
    def nights_path(self) -> Path:
        """Folder of nights: plan, journal, manifest and report of each."""
        return self.home / "nights"

    @property
    def traces_path(self) -> Path:
        """Folder of traces that wait to be sent to MLflow."""
        return self.home / "traces"

    @property
    def cache_path(self) -> Path:
        """Folder of vectors that can be made again."""
        return self.home / "cache"

    @property
    def mlflow_path(self) -> Path:
        """Folder of the embedded MLflow: its SQLite file and artifacts."""
        return self.home / "mlflow"

    @property
    def resolved_tracking_uri(self) -> str:
        """The MLflow tracking URI in force."""
        return self.tracking_uri or f"sqlite:///{self.mlflow_path / 'mlflow.db'}"


def read_prices(text: str) -> dict[str, tuple[float, float]]:
    """The prices in `MODEL=IN/OUT MODEL=IN/OUT`, in dollars for a million tokens.

    Raises:
        ValueError: the text is not of that form.
    """
    prices = {}
    for entry in text.split():
        model, _, figures = entry.rpartition("=")
        read, _, written = figures.partition("/")
        try:
            prices[model] = (float(read), float(written))
        except ValueError:
            raise ValueError(f"{entry!r} is not of the form MODEL=0.15/0.60") from None
        if not model or not all(0 <= price < 1e6 for price in prices[model]):
            raise ValueError(f"{entry!r} is not of the form MODEL=0.15/0.60")
    return prices


def load_settings(**overrides: Any) -> Settings:
    """The settings of this environment, `overrides` first.

    Raises:
        SettingsError: a `DREAMLAB_*` variable or override is unknown or has a bad value; the
            message names it and, for a misspelling, the name that was probably meant.
    """
    known = set(Settings.model_fields)
    given = {k[len(PREFIX) :].lower(): k for k in os.environ if k.upper().startswith(PREFIX)}
    for name, shown in {**given, **{k: k for k in overrides}}.items():
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            upper = shown.isupper()
            hint = "see docs/configuration.md for the known ones"
            if close:
                hint = f"did you mean {PREFIX + close[0].upper() if upper else close[0]}?"
            raise SettingsError(f"unknown setting {shown}: {hint}")
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        shown = name if name in overrides else PREFIX + name.upper()
        message = str(first["msg"]).removeprefix("Value error, ")
        raise SettingsError(f"bad value for {shown} ({first.get('input')!r}): {message}") from None


SECRETS = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
"""Settings that come from the environment only."""


def from_config(config: Mapping[str, Any]) -> Settings:
    """The settings of a host application: its `DREAM_LAB_CONFIG` first, then the environment.

    Keys are the names of the settings. Secrets are not taken from there: configuration ends up
    in logs, debuggers and repositories.

    Raises:
        SettingsError: a key is unknown, is a secret, or has a bad value.
    """
    if not isinstance(config, Mapping):
        raise SettingsError(f"DREAM_LAB_CONFIG is a {type(config).__name__}; give a dictionary")
    unknown = [str(name) for name in config if name not in Settings.model_fields]
    if len(unknown) > 1:
        raise SettingsError(
            f"unknown keys in DREAM_LAB_CONFIG: {', '.join(unknown)}; "
            "see docs/configuration.md for the known ones"
        )
    for name in config:
        if name in SECRETS:
            raise SettingsError(
                f"{name} is a secret: take it out of DREAM_LAB_CONFIG and set "
                f"{PREFIX}{name.upper()} in the environment"
            )
    return load_settings(**{str(name): value for name, value in config.items()})


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that give another process the same settings; secrets are not among them."""
    given = settings.model_dump(mode="json", include=settings.model_fields_set - SECRETS)
    return {
        PREFIX + name.upper(): value if isinstance(value, str) else json.dumps(value)
        for name, value in given.items()
    }
