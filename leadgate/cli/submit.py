"""`leadgate submit`: send a file of leads, see what became of them, run it again at will."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from leadgate.cli.output import Json, examples, line, remark

EXAMPLES = examples(
    "leadgate submit leads.jsonl",
    "leadgate submit leads.jsonl --json | jq .result.response.leadId",
)


def submit(
    file: Annotated[
        Path,
        typer.Argument(
            exists=True, dir_okay=False, help="One SubmitLeadRequest (proto3 JSON) on each line."
        ),
    ],
    rejects: Annotated[
        Path | None, typer.Option(help="Where refused lines go; FILE.rejects.jsonl if unset.")
    ] = None,
    in_flight: Annotated[
        int, typer.Option(min=1, max=10_000, help="How many lines may be unanswered at once.")
    ] = 256,
    as_json: Json = False,
) -> None:
    """Submit leads from a file. Run it again after anything that went wrong.

    A line without `requestId` is named after its content, so no run stores a lead twice:
    what an earlier run stored counts as a repeat. Refused lines are kept, with the reason
    for each, in FILE.rejects.jsonl. With --json every answer is a line on stdout.
    Exit code 0 when every line was stored, 1 when some were refused.
    """
    import asyncio

    from leadgate.process import ExitCode

    rejects = rejects or file.with_suffix(".rejects.jsonl")
    with ExitStack() as stack:
        report = Report(stack.enter_context(Rejects(rejects)), as_json)
        show = stack.enter_context(progress(file.stat().st_size))
        try:
            asyncio.run(_send(file, report, show, in_flight))
        except KeyboardInterrupt:
            remark("stopped; run the same command again to continue")
            raise typer.Exit(ExitCode.KILLED) from None
        finally:
            stack.close()
            for text in report.summary(rejects):
                remark(text)
    if report.refused:
        raise typer.Exit(ExitCode.FAILED)


async def _send(file: Path, report: Report, show: Callable[[int], None], in_flight: int) -> None:
    from leadgate.cli.connection import connect_async
    from leadgate.cli.submission import Submission, Tally
    from leadgate.v1 import lead_service_pb2 as pb

    async with connect_async() as (gateway, metadata):
        newest = await gateway.leads.ListLeads(
            pb.ListLeadsRequest(page_size=1), metadata=metadata, timeout=30
        )
        report.tally = Tally(newest.leads[0].lead_id if newest.leads else "")

        def settle(answered: Any, result: Any) -> None:
            report.answered(answered, result)
            show(answered.end)

        submission = Submission(
            lambda: gateway.leads.StreamLeads(metadata=metadata), settle, in_flight
        )
        await submission.run(_lines(file, report))


def _lines(file: Path, report: Report) -> Iterator[Any]:
    from leadgate.cli.submission import LineError, read_line

    end = 0
    with file.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            end += len(raw)
            if not raw.strip():
                continue
            try:
                yield read_line(number, raw, end)
            except LineError as error:
                report.unreadable(number, raw, error.problem)


class Report:
    """What became of the lines so far: counts, and the rejects file."""

    def __init__(self, rejects: Rejects, as_json: bool) -> None:
        self.tally: Any = None
        self.new = self.repeats = self.refused = 0
        self._rejects = rejects
        self._as_json = as_json
        self._decisions: Counter[str] = Counter()
        self._errors: Counter[str] = Counter()

    def answered(self, answered: Any, result: Any) -> None:
        """Counts the gateway's answer to a line."""
        from leadgate.v1 import lead_service_pb2 as pb

        if self._as_json:
            line(pb.StreamLeadsResponse(request_id=answered.request.request_id, result=result))
        if result.HasField("error"):
            self._refuse(answered, result.error)
        elif self.tally.is_new(result.response.lead_id):
            self.new += 1
            self._decisions.update(_decision(item) for item in result.response.deliveries)
        else:
            self.repeats += 1

    def unreadable(self, number: int, raw: bytes, problem: str) -> None:
        """Counts a line that is no SubmitLeadRequest; it was not sent."""
        self.refused += 1
        self._errors["UNREADABLE"] += 1
        text = raw.decode("utf-8", errors="replace").strip()
        self._rejects.add(
            {"line": number, "code": "UNREADABLE", "message": problem, "violations": []}, text
        )

    def summary(self, rejects: Path) -> list[str]:
        """The end of the run in a few lines, without anything a line holds."""
        total = self.new + self.repeats + self.refused
        if not total:
            return []
        lines = [
            f"{total:,} lines: {self.new:,} new, {self.repeats:,} repeats, {self.refused:,} refused"
        ]
        if self._decisions:
            lines.append("deliveries of new leads: " + _listed(self._decisions))
        if self.refused:
            lines.append(f"refused: {_listed(self._errors)}; each with its reason in {rejects}")
        return lines

    def _refuse(self, answered: Any, error: Any) -> None:
        from leadgate.cli.refusal import describe, name_of, reason_of

        self.refused += 1
        reason = reason_of(error)
        self._errors[reason or name_of(error.code)] += 1
        _, *violations = describe(error)
        self._rejects.add(
            {
                "line": answered.number,
                "requestId": answered.request.request_id,
                "code": name_of(error.code),
                "reason": reason,
                "message": error.message,
                "violations": [text.strip() for text in violations],
            },
            answered.text,
        )


class Rejects:
    """The file of refused lines: made when the first is refused, readable by its owner only.

    One of an earlier run is removed, for its lines are tried again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: TextIO | None = None

    def __enter__(self) -> Rejects:
        """Removes what an earlier run left."""
        self._path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the file."""
        if self._file:
            self._file.close()

    def add(self, why: dict[str, Any], text: str) -> None:
        """Adds a line with the reason, and as `text` what the file had."""
        import json

        if self._file is None:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = os.fdopen(descriptor, "w", encoding="utf-8")
        self._file.write(json.dumps(why | {"text": text}, ensure_ascii=False) + "\n")


@contextmanager
def progress(total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Shows a bar on a terminal's stderr; yields what moves it to an offset in bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    visible = console.is_terminal
    with Progress("submitting", *columns, console=console, disable=not visible) as bar:
        task = bar.add_task("", total=total_bytes)
        yield lambda end: bar.update(task, completed=end)


def _decision(delivery: Any) -> str:
    from leadgate.cli.output import state
    from leadgate.v1 import delivery_pb2 as pb

    return delivery.reason or state(pb.DeliveryState, delivery.state)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.most_common())
