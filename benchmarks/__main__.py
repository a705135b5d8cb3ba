"""`python -m benchmarks`: measures leadgate beside bare baselines on this machine.

    python -m benchmarks                      everything, in about five minutes
    python -m benchmarks --only unary batch   some of the figures
    python -m benchmarks --quick              proves that all of it runs and counts match

Exit codes: 0 every figure reached its goal (with --quick: was measured) · 1 one did not
· 2 one could not be measured, or stored rows and answers differ.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from benchmarks import claims, dispatch, intake, machine, memory, publishing, report
from benchmarks.bench import Bench
from benchmarks.figures import Figure, Result
from benchmarks.frames import CallError
from benchmarks.ledger import CountError
from benchmarks.profile import ProfileError
from benchmarks.programs import ProgramError
from scripts.kafka import KafkaError

RESULTS = Path(__file__).parent / "results"
_EXPERIMENTS: tuple[Callable[[Bench], Iterator[Result]], ...] = (
    intake.measure,
    publishing.measure,
    dispatch.measure,
    claims.measure,
    memory.measure,
)
_QUICK_SCALE = 0.02


def main() -> int:
    """Runs the command line and returns the exit code."""
    arguments = _arguments()
    RESULTS.mkdir(exist_ok=True)
    console = Console()
    # On the disk of the checkout: a temporary folder may be memory, where a commit is free.
    with tempfile.TemporaryDirectory(dir=RESULTS, prefix="run-") as directory:
        bench = Bench(
            directory=Path(directory),
            wanted=frozenset(map(Figure, arguments.only or Figure)),
            rounds=1 if arguments.quick else arguments.rounds,
            scale=_QUICK_SCALE if arguments.quick else 1,
            profiles=RESULTS / "profiles" if arguments.profile else None,
            say=lambda text: console.print(f"[dim]{time.strftime('%H:%M:%S')}[/] {text}"),
        )
        about = machine.described(bench.directory)
        results, failures = _measure(bench)
    report.show(console, about, results)
    report.write(arguments.json, about, results)
    for failure in failures:
        console.print(failure, style="red", highlight=False)
    if failures:
        return 2
    return 0 if arguments.quick or all(result.reached for result in results) else 1


def _measure(bench: Bench) -> tuple[list[Result], list[str]]:
    results: list[Result] = []
    failures: list[str] = []
    for experiment in _EXPERIMENTS:
        try:
            results += experiment(bench)
        except (CallError, CountError, KafkaError, ProfileError, ProgramError) as error:
            failures.append(f"{experiment.__module__}: {error}")
    return results, failures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures leadgate beside bare baselines.")
    names = [figure.value for figure in Figure]
    parser.add_argument("--only", nargs="+", choices=names, metavar="FIGURE", help=", ".join(names))
    parser.add_argument("--rounds", type=int, default=5, help="how often to measure (5)")
    parser.add_argument("--quick", action="store_true", help="little work, nothing judged")
    parser.add_argument("--profile", action="store_true", help="py-spy beside the gateway")
    parser.add_argument("--json", type=Path, default=RESULTS / "latest.json", help="the report")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
