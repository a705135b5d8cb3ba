"""A CDR as a person reads it: each fact with its source, for the page and the report.

A fact is server-observed (this service saw or derived it itself), browser-reported (the
page has said so, and could have said otherwise), or entered by an operator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from evidence.commands import CdrView
from evidence.custody import Custody, Event
from evidence.metadata import as_text
from leadgate.chain import Entry


class Source(StrEnum):
    """Who vouches for a fact; the value is what readers are told."""

    SERVER = "server-observed"
    BROWSER = "browser-reported"
    OPERATOR = "operator-entered"

    @property
    def style(self) -> str:
        """The class that its label is drawn with."""
        return self.value.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Fact:
    """One line: what, its value, and who says so."""

    label: str
    text: str = field(repr=False)
    source: Source
    note: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A disclosure: its text, whether it was agreed to, how, and what speaks against it."""

    key: str
    text: str = field(repr=False)
    agreed: bool
    mechanism: str
    meaning: str
    claim: bool | None
    doubts: list[str]
    source: Source


@dataclass(frozen=True, slots=True)
class Step:
    """An entry of the custody log."""

    sequence: int
    at: str
    event: str
    sentence: str
    hash: str


@dataclass(frozen=True, slots=True)
class Dossier:
    """All of a CDR that its page and its report show."""

    cdr_id: str
    package_id: str
    domain: str
    received: str
    state: str
    image_state: str
    report_state: str
    groups: Mapping[str, list[Fact]]
    metadata: list[Fact]
    statements: list[Statement]
    steps: list[Step]
    manifest_hash: str
    head_hash: str
    key_id: str
    sub_groups: list[str]


_MECHANISMS = {
    "manual": "The person set the control by hand.",
    "pre_selected": "The control was ticked before the person came, or was never touched.",
    "non_interactive": "There is no control: going on with the form counts as agreement.",
}
_DOUBTS = {
    "claim_without_element": "The page claims this disclosure, but it is not in the snapshot.",
    "agreed_differs": "The page claims something else than the snapshot shows.",
    "text_differs": "The page claims another text than the snapshot shows.",
    "not_visible": "The page itself says that the text was not visible.",
    "key_twice": "Several elements carry this key; the first counts.",
    "control_differs": "The reported state of the control is not the one in the snapshot.",
    "control_masked": "The control was masked and tells nothing.",
    "control_missing": "The state of the control was not reported.",
}
_EVENTS: Mapping[str, str] = {
    Event.CAPTURED: "Received and stored",
    Event.RENDERED: "Drawn by this service",
    Event.SHARED: "Shared by {}, by URL",
    Event.CLAIMED: "Claimed by {}",
    Event.SAVED: "Saved by {}, without access",
    Event.COLLECTED: "Collected by {}",
    Event.DOWNLOADED: "Downloaded by {}",
    Event.INVALIDATED: "Invalidated by an operator",
    Event.PURGED: "Deleted after its retention",
    Event.HELD: "Put on legal hold",
    Event.RELEASED: "Released from legal hold",
}
_HIGHLIGHTS = {
    "label": "named by the page",
    "trigger": "named by the page's event",
    "auto": "the control in use at the capture",
    "interaction-log": "the last control used before the capture",
}
_MAX_TEXT = 2000


def dossier(view: CdrView, custody: Custody, *, personal: bool = False) -> Dossier:
    """Puts together what a person is shown.

    `personal`: for the org itself, whose own deeds are told as such; a report is read by
    every org that has the CDR, and names none.
    """
    facts = view.facts
    entered = facts.get("source") == "operator"
    seen: dict[str, Any] = facts.get("serverObserved", {})
    said: dict[str, Any] = facts.get("browserReported", {})
    return Dossier(
        cdr_id=view.cdr.cdr_id,
        package_id=view.cdr.package_id,
        domain=view.domain,
        received=moment(view.create_ms),
        state=view.state,
        image_state=view.image_state,
        report_state=view.report_state,
        groups={
            "When": list(_when(view, said, entered=entered)),
            "Where from": list(_origin(seen)),
            "Page": list(_page(said)),
        },
        metadata=[
            Fact(key, as_text(value)[:_MAX_TEXT], _said(entered=entered))
            for key, value in view.cdr.custom.items()
        ],
        statements=list(_statements(view, seen, said, entered=entered)),
        steps=[_step(entry, personal=personal) for entry in custody.entries],
        manifest_hash=custody.anchor.manifest_hash.hex(),
        head_hash=custody.anchor.head.hash.hex(),
        key_id=custody.anchor.head.key_id,
        sub_groups=view.cdr.sub_group_ids if view.owned else [],
    )


def moment(unix_ms: int) -> str:
    """A time for people, in UTC, to the millisecond."""
    at = datetime.fromtimestamp(unix_ms / 1000, UTC)
    return f"{at:%Y-%m-%d %H:%M:%S}.{unix_ms % 1000:03} UTC"


def minute(unix_ms: int) -> str:
    """A time for people, in UTC, to the minute."""
    return f"{datetime.fromtimestamp(unix_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def _said(*, entered: bool) -> Source:
    return Source.OPERATOR if entered else Source.BROWSER


def _when(view: CdrView, said: Mapping[str, Any], *, entered: bool) -> Iterator[Fact]:
    yield Fact("Received", moment(view.create_ms), Source.SERVER)
    captured = said.get("capturedAt")
    if captured is None:
        return
    apart = (view.create_ms - captured) / 1000
    note = f"{abs(apart):,.1f} s {'before' if apart >= 0 else 'after'} it was received"
    yield Fact("Captured", moment(captured), _said(entered=entered), note)
    if not entered:
        how = "by a later retry" if said.get("late") else "at once, in the call that captured"
        yield Fact("Sent", how, Source.BROWSER)


def _origin(seen: Mapping[str, Any]) -> Iterator[Fact]:
    for label, name in (("IP address", "ip"), ("User agent", "userAgent")):
        if seen.get(name):
            yield Fact(label, _text(seen[name]), Source.SERVER)


def _page(said: Mapping[str, Any]) -> Iterator[Fact]:
    browser: Mapping[str, Any] = said.get("browser") or {}
    viewport: Mapping[str, Any] = browser.get("viewport") or {}
    size = viewport and f"{viewport.get('width', 0):g} x {viewport.get('height', 0):g} px"
    values = (
        ("Address", said.get("url")),
        ("Title", said.get("title")),
        ("Referrer", browser.get("referrer")),
        ("Language", browser.get("language")),
        ("Time zone", browser.get("timeZone")),
        ("Window", size),
        ("Library", browser.get("sdkVersion")),
    )
    yield from (Fact(label, _text(value), Source.BROWSER) for label, value in values if value)
    if highlight := browser.get("highlight"):
        yield _used(highlight)


def _used(highlight: Mapping[str, Any]) -> Fact:
    text = highlight.get("label") or highlight.get("eventType") or "outlined in the image"
    how = _HIGHLIGHTS.get(highlight.get("source", ""), "")
    trusted = {"True": "a person's own action", "False": "made by a script"}
    note = ", ".join(filter(None, (how, trusted.get(str(highlight.get("isTrusted"))))))
    return Fact("Control used", _text(text), Source.BROWSER, note)


def _statements(
    view: CdrView, seen: Mapping[str, Any], said: Mapping[str, Any], *, entered: bool
) -> Iterator[Statement]:
    claims: Mapping[str, bool] = said.get("disclosureClaims") or {}
    flags: list[Mapping[str, str]] = seen.get("disclosureFlags") or []
    for one in view.cdr.disclosures:
        mechanism = one.get("consentMechanism", "")
        doubts = [flag["flag"] for flag in flags if flag["key"] == one["key"]]
        yield Statement(
            key=one["key"],
            text=one.get("language", ""),
            agreed=one["agreed"],
            mechanism=mechanism,
            meaning=_MECHANISMS.get(mechanism, ""),
            claim=claims.get(one["key"]),
            doubts=[_DOUBTS.get(doubt, doubt) for doubt in doubts],
            source=Source.OPERATOR if entered else Source.SERVER,
        )
    shown = {one["key"] for one in view.cdr.disclosures}
    for flag in flags:
        if flag["key"] not in shown:
            doubts = [_DOUBTS.get(flag["flag"], flag["flag"])]
            claim = claims.get(flag["key"])
            yield Statement(flag["key"], "", False, "", "", claim, doubts, Source.BROWSER)


def _step(entry: Entry, *, personal: bool) -> Step:
    detail = entry.detail or {}
    # The detail of a deed is shown to the org that did it alone.
    who = "your organisation" if personal and "orgId" in detail else "an organisation"
    sentence = _EVENTS.get(entry.event, entry.event).format(who)
    if artifact := detail.get("artifact"):
        sentence = f"{sentence}: {artifact}"
    return Step(entry.sequence, moment(entry.at_ms), str(entry.event), sentence, entry.hash.hex())


def _text(value: Any) -> str:
    return str(value)[:_MAX_TEXT]
