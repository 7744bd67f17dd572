"""What language models cost, and what they answered: a SQLite file shared by all processes.

Tokens are reserved before a request is sent and settled after it. A reservation whose process was
killed stays in force, so that a budget is never exceeded. What a model answered is kept by a hash
of everything it was asked, so that the same asked again costs nothing.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from filelock import FileLock, Timeout

from dreamlab.errors import LanguageModelError
from dreamlab.records import ModelUse

BUSY = 30.0
"""Seconds that a writer waits for another one."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS spending (
    ticket INTEGER PRIMARY KEY, account TEXT NOT NULL, task TEXT NOT NULL, model TEXT NOT NULL,
    tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, dollars REAL NOT NULL,
    settled INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS by_account ON spending (account, task);
CREATE TABLE IF NOT EXISTS exhausted (account TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, model TEXT NOT NULL, reply TEXT NOT NULL);
"""
SUM = "SELECT COALESCE(SUM(tokens_in + tokens_out), 0), COALESCE(SUM(dollars), 0.0) FROM spending"


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and dollars spent or reserved."""

    tokens: int = 0
    dollars: float = 0.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What may be spent on one account (a night, or a day's questions) and on one task of it.
    Dollars of 0 set no bound."""

    tokens: int
    task_tokens: int
    dollars: float = 0.0


class Ledger:
    """The file at `path`, made when first written. Safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made = False
        self._making = threading.Lock()

    def spent(self, account: str) -> Spent:
        """What was spent on an account, open reservations included."""
        with self._open() as db:
            return Spent(*db.execute(f"{SUM} WHERE account = ?", (account,)).fetchone())

    def exhausted(self, account: str) -> bool:
        """Whether a request was refused because the account's budget is spent."""
        with self._open() as db:
            found = db.execute("SELECT 1 FROM exhausted WHERE account = ?", (account,)).fetchone()
        return found is not None

    def recall(self, key: str) -> str | None:
        """The reply kept under a key."""
        with self._open() as db:
            found = db.execute("SELECT reply FROM answers WHERE key = ?", (key,)).fetchone()
        return str(found[0]) if found else None

    def keep(self, key: str, model: str, reply: str) -> None:
        """Keep a reply; the first one kept under a key stays."""
        with self._open() as db:
            db.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (key, model, reply))

    def reserve(
        self,
        account: str,
        task: str,
        model: str,
        tokens: tuple[int, int],
        dollars: float,
        limits: Limits,
    ) -> int:
        """A ticket for at most so many tokens read and written, and so many dollars.

        Raises:
            LanguageModelError: account or task have not got as much left.
        """
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            night = Spent(*db.execute(f"{SUM} WHERE account = ?", (account,)).fetchone())
            own = Spent(
                *db.execute(f"{SUM} WHERE account = ? AND task = ?", (account, task)).fetchone()
            )
            for what, spent, most in (
                ("night", night.tokens + sum(tokens), limits.tokens),
                ("answer", own.tokens + sum(tokens), limits.task_tokens),
                ("night", night.dollars + dollars, limits.dollars or float("inf")),
            ):
                if spent > most:
                    if what == "night":
                        db.execute("INSERT OR IGNORE INTO exhausted VALUES (?)", (account,))
                    db.execute("COMMIT")
                    raise LanguageModelError(
                        "budget_spent", f"the budget of this {what} is spent ({account})"
                    )
            done = db.execute(
                "INSERT INTO spending (account, task, model, tokens_in, tokens_out, dollars) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (account, task, model, *tokens, dollars),
            )
            db.execute("COMMIT")
            return int(done.lastrowid or 0)

    def settle(self, ticket: int, tokens: tuple[int, int], dollars: float) -> None:
        """Replace a reservation by what was really spent."""
        with self._open() as db:
            db.execute(
                "UPDATE spending SET tokens_in = ?, tokens_out = ?, dollars = ?, settled = 1 "
                "WHERE ticket = ?",
                (*tokens, dollars, ticket),
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self._make()
            db = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None)
            try:
                yield db
            finally:
                db.close()
        except (sqlite3.Error, OSError, Timeout) as error:
            raise LanguageModelError(
                "no_ledger", f"cannot account for tokens in {self._path}: {error}"
            ) from None

    def _make(self) -> None:
        """Make the file, once: SQLite does not wait for its turn to become a write-ahead log."""
        with self._making:
            if self._made:
                return
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_suffix(".lock"), timeout=BUSY):
                db = sqlite3.connect(self._path, timeout=BUSY, isolation_level=None)
                try:
                    db.execute("PRAGMA journal_mode = WAL")
                    db.executescript(SCHEMA)
                finally:
                    db.close()
            self._made = True


class TaskMeter:
    """Meters one role's requests for one task, and adds up what they came to."""

    def __init__(
        self,
        ledger: Ledger,
        account: str,
        task: str,
        limits: Limits,
        model: str,
        prices: tuple[float, float],
    ) -> None:
        self._ledger, self._account, self._task, self._limits = ledger, account, task, limits
        self._prices = prices
        self.use = ModelUse(model)

    def reserve(self, tokens_in: int, tokens_out: int) -> int:
        """A ticket for one request.

        Raises:
            LanguageModelError: the budget of the night or of the answer is spent.
        """
        tokens = (tokens_in, tokens_out)
        return self._ledger.reserve(
            self._account, self._task, self.use.model, tokens, self._dollars(tokens), self._limits
        )

    def settle(self, ticket: int, tokens_in: int, tokens_out: int) -> None:
        """Account for one request that has ended."""
        tokens = (tokens_in, tokens_out)
        self._ledger.settle(ticket, tokens, self._dollars(tokens))
        self.use = replace(
            self.use,
            calls=self.use.calls + 1,
            tokens_in=self.use.tokens_in + tokens_in,
            tokens_out=self.use.tokens_out + tokens_out,
            dollars=self.use.dollars + self._dollars(tokens),
        )

    def _dollars(self, tokens: tuple[int, int]) -> float:
        return sum(n * price / 1e6 for n, price in zip(tokens, self._prices, strict=True))
