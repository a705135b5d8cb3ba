"""The bare cost of durability: one small insert and its commit, again and again."""

from __future__ import annotations

import os
import sqlite3
import statistics
from contextlib import closing
from pathlib import Path
from time import perf_counter


def p50_seconds(directory: Path, commits: int, row_bytes: int) -> float:
    """Median time of BEGIN, one INSERT and COMMIT in SQLite, WAL, `synchronous=FULL`."""
    file = directory / "bare-commits.db"
    times: list[float] = []
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE IF NOT EXISTS rows (key INTEGER PRIMARY KEY, row BLOB)")
        for _ in range(commits):
            row = os.urandom(row_bytes)
            begin = perf_counter()
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO rows (row) VALUES (?)", (row,))
            connection.execute("COMMIT")
            times.append(perf_counter() - begin)
    return statistics.median(times)
