"""Databases of the services: open, lock, tune and migrate. It knows no table.

SQLite is for one process: one connection writes and owns the checkpoints (SQLite
before 3.51.3 can corrupt a database whose log two connections reset at once, see
https://sqlite.org/wal.html#walresetbug), others may only read. `synchronous=FULL`, so
that a commit is on disk when it returns.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import URL, ClauseElement, Engine, create_engine, event, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DatabaseError
from sqlalchemy.pool import StaticPool

from leadgate.process import ExitCode, Refusal

_WRITER_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "cache_size=-16384",  # KiB
    "wal_autocheckpoint=4000",  # pages: about 16 MB between checkpoints
)
_READER_PRAGMAS = ("query_only=ON", "cache_size=-8192")


class DatabaseHeldError(Refusal):
    """Another process holds the database."""

    exit_code = ExitCode.HELD


class DatabaseUrlError(Refusal):
    """The database URL cannot be used."""

    exit_code = ExitCode.SETTINGS


def database_file(url: str) -> Path:
    """The file of a `sqlite:///path` URL. Raises `DatabaseUrlError` for any other."""
    try:
        parsed = make_url(url)
    except Exception:
        raise DatabaseUrlError("the database URL cannot be read; use sqlite:///FILE") from None
    if parsed.get_backend_name() != "sqlite":
        raise DatabaseUrlError(
            f"databases of kind {parsed.get_backend_name()!r} are not served; use sqlite:///FILE"
        )
    if parsed.database in (None, "", ":memory:"):
        raise DatabaseUrlError("the database URL names no file; use sqlite:///FILE")
    return Path(parsed.database)


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Holds the database for this process, through `<file>.lock`, until the block ends.

    The system drops the lock with the process, however it dies. Raises
    `DatabaseHeldError` at once if another process has it, and `DatabaseUrlError` where
    no file can be made.
    """
    with _lock_file(file) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DatabaseHeldError(
                f"{file} is in use by another process; stop it, or name another database"
            ) from None
        yield


def _lock_file(file: Path) -> TextIO:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return Path(f"{file}.lock").open("w")
    except OSError as error:
        raise DatabaseUrlError(f"{file} cannot be made: {error.strerror}") from None


def open_writer(file: Path) -> Engine:
    """Opens the one connection that writes; it may move between threads, not be shared.

    Raises `DatabaseUrlError` for a file that is no database.
    """
    engine = _engine(file, _WRITER_PRAGMAS)
    try:
        with engine.connect():
            return engine
    except (DatabaseError, sqlite3.Error) as error:
        cause = getattr(error, "orig", error)
        raise DatabaseUrlError(f"{file} cannot be opened as a database: {cause}") from None


def open_reader(file: Path) -> Engine:
    """Opens a connection that only reads: it sees what is committed, and never waits."""
    return _engine(file, _READER_PRAGMAS)


def migrate(engine: Engine, migrations: Path) -> None:
    """Brings the schema to the newest revision in the folder `migrations`.

    Raises `DatabaseUrlError` for a schema that is none of them.
    """
    config = Config()
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError:
            problem = "has a schema that this version does not know; is it a newer one's?"
            raise DatabaseUrlError(f"{engine.url.database} {problem}") from None


def _engine(file: Path, pragmas: tuple[str, ...]) -> Engine:
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        poolclass=StaticPool,
        hide_parameters=True,  # an error text would carry bound values
        connect_args={"check_same_thread": False, "isolation_level": None, "timeout": 30},
    )

    @event.listens_for(engine, "connect")
    def tune(connection: Any, _: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begin(connection: Any) -> None:
        # The driver's own transaction control is off: it would commit around DDL.
        connection.exec_driver_sql("BEGIN")

    return engine


def fetch(cursor: Any, statement: ClauseElement) -> list[Any]:
    """Compiles and runs a statement that is put together anew each time; every row."""
    compiled: Any = statement.compile(
        dialect=sqlite.dialect(paramstyle="qmark"), compile_kwargs={"render_postcompile": True}
    )
    parameters = compiled.construct_params()
    values = [parameters[name] for name in compiled.positiontup or ()]
    rows: list[Any] = cursor.execute(str(compiled), values).fetchall()
    return rows


class Prepared:
    """A SQLAlchemy Core statement, compiled once and run on the driver's own cursor.

    For the statements that every lead pays for: the driver runs them in a few
    microseconds, where a Core execution costs fifty. Values are bound as they are, so
    columns must be plain integers, text or bytes. What the statement itself fixes is
    part of its text: SQLite uses a partial index only for a constant that it can see.
    """

    def __init__(self, statement: ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        self.sql, *parts = str(compiled).split("?")
        names: list[str] = []
        for name, part in zip(compiled.positiontup or (), parts, strict=True):
            bind = compiled.binds[name]
            if bind.required:
                names.append(name)
            constant = "NULL" if bind.value is None else compiled.render_literal_bindparam(bind)
            self.sql += ("?" if bind.required else constant) + part
        self.names = tuple(names)

    def one(self, cursor: Any, **values: Any) -> Any:
        """Runs it and returns the first row, or None."""
        return cursor.execute(self.sql, [values[name] for name in self.names]).fetchone()

    def all(self, cursor: Any, **values: Any) -> list[Any]:
        """Runs it and returns every row."""
        rows: list[Any] = cursor.execute(self.sql, [values[name] for name in self.names]).fetchall()
        return rows

    def run(self, cursor: Any, **values: Any) -> int:
        """Runs it and returns how many rows it changed."""
        return int(cursor.execute(self.sql, [values[name] for name in self.names]).rowcount)

    def insert(self, cursor: Any, **values: Any) -> int:
        """Runs an INSERT and returns the key of the new row."""
        return int(cursor.execute(self.sql, [values[name] for name in self.names]).lastrowid)

    def many(self, cursor: Any, rows: Iterable[Sequence[Any]]) -> int:
        """Runs it for each row, whose values stand in the order of `names`."""
        return int(cursor.executemany(self.sql, rows).rowcount)


_CHUNKS = (128, 32, 8, 2, 1)


class PreparedRows:
    """An INSERT of many rows in few steps.

    The driver gives up Python's lock with each step and then waits for it: rows that go in
    one by one cost ten times their own work while another thread is busy.
    """

    def __init__(self, statement: ClauseElement) -> None:
        prepared = Prepared(statement)
        self.names = prepared.names
        row = f"({', '.join('?' * len(self.names))})"
        head, tail = prepared.sql.split(row)
        self._sql = {size: head + ", ".join([row] * size) + tail for size in _CHUNKS}

    def run(self, cursor: Any, rows: Sequence[Sequence[Any]]) -> None:
        """Inserts the rows, whose values stand in the order of `names`."""
        start = 0
        for size in _CHUNKS:
            while len(rows) - start >= size:
                values = list(chain.from_iterable(rows[start : start + size]))
                cursor.execute(self._sql[size], values)
                start += size


class PreparedIn:
    """A SELECT with `column.in_(bindparam(…, expanding=True))`, for any number of values."""

    def __init__(self, statement: ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=sqlite.dialect(paramstyle="qmark"))
        *self._fixed, expanding = compiled.positiontup
        head, tail = str(compiled).split(f"(__[POSTCOMPILE_{expanding}])")
        self._sql = {size: f"{head}({', '.join('?' * size)}){tail}" for size in _CHUNKS}

    def all(self, cursor: Any, values: Sequence[Any], **fixed: Any) -> list[Any]:
        """Every row; `fixed` are the parameters in front of the list."""
        first = [fixed[name] for name in self._fixed]
        rows: list[Any] = []
        for start in range(0, len(values), _CHUNKS[0]):
            part = list(values[start : start + _CHUNKS[0]])
            size = min(size for size in _CHUNKS if size >= len(part))
            # A value twice in the list is found once; few sizes are few statements to parse.
            part += part[-1:] * (size - len(part))
            rows += cursor.execute(self._sql[size], first + part).fetchall()
        return rows
