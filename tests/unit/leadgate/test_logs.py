"""Logs: one JSON line per event, and of an exception its type and place only."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from leadgate import logs


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Leaves the logging of the test run alone."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.contextvars.clear_contextvars()
    structlog.reset_defaults()


def _lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def _broken() -> None:
    raise ValueError("canary")


def test_an_event_is_one_json_line_with_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    """With its level and the time in UTC."""
    logs.configure("gateway")
    structlog.get_logger().info("lead stored", lead_id="1")
    [line] = _lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "lead stored",
        "lead_id": "1",
        "level": "info",
        "service": "gateway",
    }


def test_an_exception_leaves_its_type_and_place_and_no_message(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its message may quote a request; so may its causes, and what they hold."""
    logs.configure("gateway")
    try:
        try:
            _broken()
        except ValueError as error:
            raise RuntimeError("canary") from error
    except RuntimeError:
        structlog.get_logger().exception("crashed")
        logging.getLogger("library").exception("failed")
    said = capsys.readouterr().err
    assert "canary" not in said
    for line in map(json.loads, said.splitlines()):
        assert line["error"] == "RuntimeError"
        assert any(
            place.endswith(" test_an_exception_leaves_its_type_and_place_and_no_message")
            for place in line["at"]
        )


def test_libraries_are_heard_from_warnings_up(capsys: pytest.CaptureFixture[str]) -> None:
    """Below it some of them print what they send."""
    logs.configure("gateway")
    logging.getLogger("library").info("canary")
    logging.getLogger("library").warning("trouble")
    [line] = _lines(capsys)
    assert (line["event"], line["level"], line["logger"]) == ("trouble", "warning", "library")


def test_frames_name_where_an_error_was_raised() -> None:
    """Innermost last, and no values."""
    with pytest.raises(ValueError, match="canary") as raised:
        _broken()
    places = logs.frames(raised.value)
    assert places[-1].endswith(" _broken")
    assert "canary" not in "".join(places)
