"""Directs a run of the demo: where it works, what it shows, how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import httpx
import typer
from google.protobuf import json_format

from leadgate.cli.demo.board import Board, ends_of
from leadgate.cli.demo.processes import DemoError
from leadgate.cli.demo.run import Run, mistakes
from leadgate.cli.demo.stage import Plan, Stage, plan, stage
from leadgate.cli.demo.story import Story
from leadgate.cli.refusal import describe, status_of
from leadgate.process import ExitCode

_KEPT = Path(".demo")
_MARK = ".made-by-leadgate-demo"
_MORE_LEADS = 10


@dataclass(frozen=True)
class Wishes:
    """What was asked for on the command line."""

    keep: bool
    leads: int
    patience: float
    folder: Path | None
    as_json: bool


def direct(wishes: Wishes) -> ExitCode:
    """Runs the demo. OK if every expectation held, FAILED if not, KILLED after Ctrl-C."""
    board = Board(stderr=wishes.as_json)
    try:
        _check_parts()
        where = _folder(wishes)
    except DemoError as error:
        board.say(f"the demo cannot run: {error}")
        return ExitCode.FAILED
    exit_code = _run(board, where, wishes)
    if exit_code is ExitCode.FAILED:
        board.say(f"logs and databases are in {where}")
    elif wishes.folder is None and not wishes.keep:
        shutil.rmtree(where, ignore_errors=True)
    return exit_code


def _run(board: Board, where: Path, wishes: Wishes) -> ExitCode:
    try:
        wrong = asyncio.run(_interruptible(_directed(board, plan(where), wishes)))
    except asyncio.CancelledError:
        board.say("stopped; everything that was started has ended")
        return ExitCode.KILLED
    except DemoError as error:
        board.say(f"the demo broke off: {error}")
        return ExitCode.FAILED
    except grpc.RpcError as error:
        board.say(f"the demo broke off: {describe(status_of(error))[0]}")
        return ExitCode.FAILED
    except httpx.HTTPError as error:
        board.say(f"the demo broke off: no answer of the evidence service, {type(error).__name__}")
        return ExitCode.FAILED
    return ExitCode.FAILED if wrong else ExitCode.OK


async def _interruptible(directed: Coroutine[Any, Any, list[str]]) -> list[str]:
    task = asyncio.create_task(directed)
    _on_signal(task.cancel)
    return await task


async def _directed(board: Board, plan: Plan, wishes: Wishes) -> list[str]:
    began = time.monotonic()
    async with stage(plan, board.step) as set_up:
        _write_environment(plan, set_up)
        story = Story(set_up.evidence, plan.one, plan.two)
        cases = await story.cases(wishes.leads)
        board.step(f"{len(cases)} submissions with their evidence and shares are ready")
        _write_messages(plan.folder / "leads.jsonl", (case.request for case in cases))
        run = Run(set_up, cases)
        with board:
            await run.play(wishes.patience, board.settled)
        _write_messages(plan.folder / "answers.jsonl", run.answers.values())
        wrong = await mistakes(run, set_up)
        board.say()
        board.table(run, plan.one, plan.two)
        board.say()
        _judge(board, wrong, time.monotonic() - began)
        if wishes.as_json:
            _print_json(run, plan, wrong)
        if wishes.keep:
            more = await story.more(_MORE_LEADS, plan.one, plan.three)
            _write_messages(plan.folder / "more-leads.jsonl", more)
            await _stay(board, plan, run)
    return wrong


def _judge(board: Board, wrong: list[str], seconds: float) -> None:
    for problem, number in Counter(wrong).items():
        board.say(f"✗ {problem}" + (f" ({number} times)" if number > 1 else ""))
    if not wrong:
        board.step(f"every lead fared as it should, {seconds:.1f} s after the start")


def _print_json(run: Run, plan: Plan, wrong: list[str]) -> None:
    rows = [
        {
            "title": title,
            "leads": number,
            "ends": dict(zip((plan.one, plan.two), ends, strict=True)),
        }
        for (title, *ends), number in ends_of(run, plan.one, plan.two).items()
    ]
    typer.echo(json.dumps({"held": not wrong, "mistakes": wrong, "rows": rows}, indent=2))


async def _stay(board: Board, plan: Plan, run: Run) -> None:
    """Says what to try, and waits for Ctrl-C; that is then the normal end."""
    lead_id = next(answer.response.lead_id for answer in run.answers.values())
    folder = shlex.quote(str(plan.folder))
    board.say("Everything keeps running until Ctrl-C. In another terminal, try:")
    for line in (
        f". {folder}/env.sh",
        "leadgate leads list",
        f"leadgate leads get {lead_id}",
        "leadgate deliveries list --state failed",
        "leadgate buyers list",
        "leadgate watch --cursor 0",
        f"LEADGATE_API_KEY=$FORMS_KEY leadgate submit {folder}/more-leads.jsonl",
        "LEADGATE_API_KEY=$BUYER_ONE_KEY leadgate deliveries replay --since 1h",
    ):
        board.say(f"  {line}")
    stop = asyncio.Event()
    _on_signal(stop.set)
    await stop.wait()
    board.say("stopping")


def _on_signal(do: Callable[[], object]) -> None:
    """SIGTERM and a terminal that closes count as Ctrl-C: nothing started may stay behind."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, do)


def _write_environment(plan: Plan, set_up: Stage) -> None:
    """Keeps what `leadgate` needs to call this gateway, readable by its owner only."""
    values = {
        "LEADGATE_GATEWAY": set_up.gateway_address,
        "LEADGATE_API_KEY": plan.operator,
        **plan.environment,
        "EVIDENCE_OPERATOR_KEY": plan.evidence_operator,
        "BUYER_ONE_EVIDENCE_KEY": set_up.evidence_keys[plan.one],
        "BUYER_TWO_EVIDENCE_KEY": set_up.evidence_keys[plan.two],
        "BUYER_THREE_EVIDENCE_KEY": set_up.evidence_keys[plan.three],
        "BUYER_THREE": plan.three,
        "EVIDENCE_URL": set_up.evidence_url,
        "KAFKA": plan.kafka,
    }
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())
    _write(plan.folder / "env.sh", text)


def _write_messages(path: Path, messages: Iterable[Any]) -> None:
    lines = (json_format.MessageToJson(message, indent=None) for message in messages)
    _write(path, "".join(f"{line}\n" for line in lines))


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _folder(wishes: Wishes) -> Path:
    """An empty folder; what an earlier demo left in it goes, anything else is refused."""
    if wishes.folder is None and not wishes.keep:
        return Path(tempfile.mkdtemp(prefix="leadgate-demo-"))
    folder = (wishes.folder or _KEPT).absolute()
    if (folder / _MARK).exists():
        shutil.rmtree(folder)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DemoError(f"{folder} is not empty, and no demo made what is in it")
    (folder / _MARK).touch()
    return folder


def _check_parts() -> None:
    missing = [name for name in ("fastapi", "grpc_health", "sqlalchemy") if not find_spec(name)]
    if missing:
        raise DemoError("gateway and evidence are not installed: pip install 'leadgate[all]'")
