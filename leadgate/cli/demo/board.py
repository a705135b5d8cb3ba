"""What a person sees of the demo: steps, progress while it runs, and the table at its end."""

from __future__ import annotations

from collections import Counter
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from leadgate.cli.demo.run import Run
from leadgate.cli.refusal import reason_of

_COLOURS = {"DELIVERED": "green", "FAILED": "red"}


class Board:
    """Prints to the terminal; plain lines where there is none, and to stderr where asked."""

    def __init__(self, stderr: bool = False) -> None:
        self.console = Console(stderr=stderr)
        if not self.console.is_terminal:
            self.console.width = 160  # as wide as the table
        self._progress = Progress(
            TextColumn("  deliveries settled"),
            BarColumn(),
            MofNCompleteColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self._task: Any = None
        self._shown = 0

    def __enter__(self) -> Board:
        """Starts to show progress, where there is any."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops, and leaves the terminal as it was."""
        self._progress.stop()

    def step(self, text: str) -> None:
        """Prints something that is done."""
        self.console.print(Text.assemble(("✓ ", "green"), text), soft_wrap=True)

    def say(self, text: str = "") -> None:
        """Prints a line as it is."""
        self.console.print(Text(text), soft_wrap=True)

    def settled(self, number: int, total: int) -> None:
        """Shows how far the deliveries are: a bar, or a line for each quarter."""
        if self._task is None:
            self._task = self._progress.add_task("", total=total)
        self._progress.update(self._task, completed=number, total=total)
        quarter = 4 * number // total if total else 0
        if not self.console.is_terminal and quarter > self._shown:
            self.say(f"  {number} of {total} deliveries settled")
        self._shown = max(quarter, self._shown)

    def table(self, run: Run, one: str, two: str) -> None:
        """Prints what became of each lead; those of one kind with one end share a row."""
        grid = Table("leads", "what was submitted", one, two, box=None, padding=(0, 2, 0, 0))
        for (title, *ends), number in ends_of(run, one, two).items():
            grid.add_row(str(number), title, *map(_coloured, ends))
        self.console.print(grid)


def ends_of(run: Run, *buyers: str) -> Counter[tuple[str, ...]]:
    """How often each kind of lead ended how: (title, end at each buyer) and a number."""
    rows: Counter[tuple[str, ...]] = Counter()
    for index, case in enumerate(run.cases):
        concerned = {recipient.buyer_id for recipient in case.request.recipients}
        ends = (_end(run, index, buyer) if buyer in concerned else "" for buyer in buyers)
        rows[case.title, *ends] += 1
    return rows


def _end(run: Run, index: int, buyer: str) -> str:
    case, answer = run.cases[index], run.answers.get(index)
    if answer is None:
        return "not answered"
    if answer.HasField("error"):
        return f"refused {reason_of(answer.error)}"
    if case.repeats:
        return "the first answer again"
    return str(run.fate(index, buyer) or "")


def _coloured(text: str) -> Text:
    return Text(text, style=_COLOURS.get(text.partition(" ")[0], "yellow"))
