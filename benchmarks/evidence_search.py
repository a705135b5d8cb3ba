"""`python -m benchmarks.evidence_search`: finding a CDR by its metadata among few and among many.

Two ledgers are filled by SQL, with 10,000 CDRs and with 1,000,000, and the same
look-ups are run on both: by a value that one CDR has, a page of a value that many
have, a page of the newest, and what a buyer of a hundred CDRs asks. The look-up by a
value that one CDR has must not take more than 3 times as long among the many.

Exit codes: 0 the goal was reached · 1 it was not.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

from evidence.clock import unix_ms
from evidence.commands import AddDomain, AddOrg
from evidence.ledger.ledger import SqlLedger, opened
from evidence.lists import ListCdrs, Search
from evidence.metadata import entries
from evidence.signing import Vault

GOAL = 3.0
"""How many times as long a look-up may take among the many."""

_BOUGHT = 100
_CAMPAIGNS = 20
_DOMAIN = "www.example.com"


def main() -> int:
    """Runs the command line and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--lookups", type=int, default=2_000)
    arguments = parser.parse_args()
    measured = {}
    for name in ("few", "many"):
        with tempfile.TemporaryDirectory(dir=Path(__file__).parent / "results") as folder:
            run = measure(Path(folder), getattr(arguments, name), arguments.lookups)
            measured[name] = asyncio.run(run)
    ratio = measured["many"]["one"] / measured["few"]["one"]
    print(json.dumps({"microseconds": measured, "ratio": round(ratio, 2), "goal": GOAL}, indent=2))
    return int(ratio > GOAL)


async def measure(folder: Path, count: int, lookups: int) -> dict[str, float]:
    """Fills a ledger in `folder` and returns the median of each kind of look-up, in µs."""
    url = f"sqlite:///{folder / 'evidence.db'}"
    async with opened(url, unix_ms, Vault(folder / "keys")) as ledger:
        owner = await ledger.write(AddOrg("generator", "A generator", auto_collect=True))
        buyer = await ledger.write(AddOrg("buyer", "A buyer", auto_collect=True))
        await ledger.write(AddDomain("dom", "generator", _DOMAIN))
    began = time.monotonic()
    fill(folder / "evidence.db", owner, buyer, count)
    print(f"{count:,} CDRs stored in {time.monotonic() - began:.0f} s", file=sys.stderr)
    kinds: dict[str, Callable[[], ListCdrs]] = {
        "one": lambda: ListCdrs(owner, _DOMAIN, search=Search("uid", _uid(_any(count)))),
        "campaign": lambda: ListCdrs(owner, _DOMAIN, search=Search("campaign", _campaign(1))),
        "newest": lambda: ListCdrs(owner, _DOMAIN),
        "key": lambda: ListCdrs(owner, _DOMAIN, search=Search("uid")),
        "buyer newest": lambda: ListCdrs(buyer, _DOMAIN),
        "buyer key": lambda: ListCdrs(buyer, _DOMAIN, search=Search("uid")),
    }
    async with opened(url, unix_ms, Vault(folder / "keys")) as ledger:
        return {
            name: await _median_us(ledger, kind, lookups if name == "one" else lookups // 20 or 1)
            for name, kind in kinds.items()
        }


async def _median_us(ledger: SqlLedger, query: Callable[[], ListCdrs], times: int) -> float:
    taken = []
    for _ in range(times):
        wanted = query()
        began = time.perf_counter()
        page = await ledger.read(wanted)
        taken.append(time.perf_counter() - began)
        assert page.cdrs, "nothing was found"
    return round(median(taken) * 1e6, 1)


def fill(file: Path, owner: int, buyer: int, count: int) -> None:
    """Stores `count` CDRs of one domain; the buyer has a hundred of them, evenly spread."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-400000")
        database.execute("INSERT INTO packages VALUES (1, 'pkg', ?, 'session', '', 0)", (owner,))
        database.executemany(
            "INSERT INTO cdrs (number, cdr_id, org, domain, package, create_ms, late, "
            "sub_group_ids, custom, disclosures) VALUES (?, ?, ?, 1, 1, ?, 0, '[]', ?, '[]')",
            ((n, f"cdr_{n}", owner, n, json.dumps(_custom(n))) for n in range(1, count + 1)),
        )
        standing = "INSERT INTO standings (org, cdr, domain, owner, basis, update_ms) "
        numbers = range(1, count + 1)
        database.executemany(f"{standing} VALUES (?, ?, 1, 1, 2, 0)", ((owner, n) for n in numbers))
        database.executemany(
            f"{standing} VALUES (?, ?, 1, 0, 2, 0)",
            ((buyer, n) for n in range(1, count + 1, max(1, count // _BOUGHT))),
        )
        database.executemany("INSERT INTO metadata_index VALUES (1, ?, ?)", sorted(_index(count)))


def _index(count: int) -> Iterator[tuple[int, int]]:
    for number in range(1, count + 1):
        for entry in entries(_custom(number)):
            yield entry, number


def _custom(number: int) -> dict[str, str]:
    return {"uid": _uid(number), "campaign": _campaign(number)}


def _uid(number: int) -> str:
    return f"lead-{number:09}"


def _campaign(number: int) -> str:
    return f"campaign-{number % _CAMPAIGNS}"


def _any(count: int) -> int:
    return random.randint(1, count)


if __name__ == "__main__":
    sys.exit(main())
