"""Databases of the services: held by one process, synced, migrated, and refused in words."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, bindparam, insert, select

from gateway.ledger.ledger import MIGRATIONS
from leadgate import sql
from leadgate.process import ExitCode

THINGS = Table("things", MetaData(), Column("key", Integer, primary_key=True), Column("name", Text))


def test_a_url_names_a_file() -> None:
    """Relative or absolute."""
    assert sql.database_file("sqlite:///leads.db") == Path("leads.db")
    assert sql.database_file("sqlite:////var/lib/leads.db") == Path("/var/lib/leads.db")


@pytest.mark.parametrize(
    "url", ["", "canary", "sqlite://", "sqlite:///:memory:", "postgresql://u:canary@h/d", "x://"]
)
def test_a_url_without_a_file_is_refused(url: str) -> None:
    """Above all one whose data would be gone at the end. It is not repeated."""
    with pytest.raises(sql.DatabaseUrlError) as refused:
        sql.database_file(url)
    assert refused.value.exit_code is ExitCode.SETTINGS
    assert "canary" not in str(refused.value)


def test_a_database_is_held_once(tmp_path: Path) -> None:
    """The second one is told which file, and may have it afterwards."""
    file = tmp_path / "new folder" / "leads.db"
    held_twice = pytest.raises(sql.DatabaseHeldError, match=r"leads\.db")
    with sql.held(file), held_twice, sql.held(file):
        pass
    with sql.held(file):
        pass


def test_a_place_where_no_file_can_be_made_is_refused(tmp_path: Path) -> None:
    """By its path."""
    (tmp_path / "file").touch()
    with pytest.raises(sql.DatabaseUrlError, match=r"leads\.db"):
        sql.held(tmp_path / "file" / "leads.db").__enter__()


@pytest.mark.parametrize("content", [b"no database" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, content: bytes) -> None:
    """And left as it is."""
    file = tmp_path / "leads.db"
    file.write_bytes(content)
    with pytest.raises(sql.DatabaseUrlError, match=r"leads\.db cannot be opened"):
        sql.open_writer(file)
    assert file.read_bytes() == content


def test_the_writer_syncs_each_commit(tmp_path: Path) -> None:
    """A write-ahead log, and synchronous = FULL (2)."""
    writer = sql.open_writer(tmp_path / "leads.db")
    with writer.connect() as connection:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        values = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in pragmas]
    writer.dispose()
    assert values == ["wal", 2, 1]


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    """It sees what is committed, and changes nothing."""
    writer, reader = sql.open_writer(tmp_path / "leads.db"), sql.open_reader(tmp_path / "leads.db")
    with writer.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE things (name TEXT)")
    with reader.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM things").scalar_one() == 0
        driver = connection.connection.driver_connection
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            driver.execute("INSERT INTO things VALUES ('x')")  # type: ignore[union-attr]
    writer.dispose()
    reader.dispose()


def test_a_schema_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    """Not run by an older one, and not changed."""
    writer = sql.open_writer(tmp_path / "leads.db")
    sql.migrate(writer, MIGRATIONS)
    sql.migrate(writer, MIGRATIONS)
    with writer.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(sql.DatabaseUrlError, match="newer"):
        sql.migrate(writer, MIGRATIONS)
    writer.dispose()


def test_a_prepared_statement_binds_parameters_and_writes_out_constants() -> None:
    """So that SQLite can use a partial index."""
    add = sql.Prepared(insert(THINGS).values(name=bindparam("name")))
    find = sql.Prepared(
        select(THINGS.c.key).where(THINGS.c.name == bindparam("name"), THINGS.c.key > 0)
    )
    assert find.names == ("name",)
    assert "> 0" in find.sql
    with closing(sqlite3.connect(":memory:")) as connection:
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE things (key INTEGER PRIMARY KEY, name TEXT)")
        key = add.insert(cursor, name="it's; --")
        assert find.one(cursor, name="it's; --") == (key,)
        assert find.all(cursor, name="another") == []
