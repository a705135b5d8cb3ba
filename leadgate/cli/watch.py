"""`leadgate watch`: follow deliveries as things happen to them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from leadgate.cli.output import Json, examples, line, moment, remark, say, state

EXAMPLES = examples(
    "leadgate watch",
    "leadgate watch --cursor 0 --json",
    "leadgate watch --cursor CURSOR --buyer solar-one",
)


def watch(
    cursor: Annotated[
        str, typer.Option(help="Continue after this one; `0` is the beginning, unset is now.")
    ] = "",
    buyer: Annotated[str, typer.Option(help="Only deliveries to this buyer.")] = "",
    generator: Annotated[str, typer.Option(help="Only this generator's; for operators.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="End after so many events; 0: never.")] = 0,
    as_json: Json = False,
) -> None:
    """Print every event as it is committed, until Ctrl-C.

    At the end the newest cursor goes to stderr: give it to `--cursor` to continue
    there, with no gap and no repeat. With --json every line carries its own.
    """
    from leadgate.cli.connection import connect
    from leadgate.cli.refusal import Refused
    from leadgate.v1 import lead_service_pb2 as service

    request = service.WatchDeliveriesRequest(cursor=cursor, buyer_id=buyer, generator_id=generator)
    watching = Watching(cursor, limit)
    try:
        with connect() as gateway:
            watching.follow(gateway.leads.WatchDeliveries(request), _show(as_json))
    except KeyboardInterrupt:
        pass
    except Refused as refused:
        refused.lines.extend(watching.resume_hint())
        raise
    for hint in watching.resume_hint():
        remark(hint)


class Watching:
    """Follows a stream of events and keeps the newest cursor."""

    def __init__(self, cursor: str, limit: int) -> None:
        self.cursor = cursor
        self._start = cursor
        self._limit = limit

    def follow(self, answers: Any, show: Any) -> None:
        """Shows events until the stream ends or the limit is reached."""
        shown = 0
        for answer in answers:
            if answer.HasField("event"):
                show(answer)
                shown += 1
            # Moved on only once the event is out: a crash between the two repeats an
            # event, and never loses one.
            self.cursor = answer.cursor
            if self._limit and shown >= self._limit:
                answers.cancel()
                return

    def resume_hint(self) -> list[str]:
        """How to continue, where anything was received."""
        return [f"continue with --cursor {self.cursor}"] if self.cursor != self._start else []


def _show(as_json: bool) -> Any:
    return line if as_json else _show_for_people


def _show_for_people(answer: Any) -> None:
    from leadgate.v1 import delivery_pb2 as pb

    word = state(pb.DeliveryEventType, answer.event.type)
    reason = f" {answer.event.reason}" if answer.event.reason else ""
    say(
        f"{moment(answer.event.event_time)}  {answer.delivery_id}  {word}{reason}"
        f"  (attempt {answer.event.attempt})"
    )
