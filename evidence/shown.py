"""A CDR as the v1 API answers it: what an org may see of it, each fact by its source.

`facts` is what the manifest has the hash of. In it `serverObserved` is what this service
saw or derived itself, `browserReported` what the page has said; nothing is in both.
The fields beside it, which the contract names, are the same values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from evidence.access import State
from evidence.commands import CdrView

Link = Callable[[str, str], str]
"""Makes a signed, short-lived URL of a CDR's artifact: `link(cdr_id, "image")`."""

_ARTIFACTS = (("image", "imageUrl"), ("report", "reportUrl"))


def shown(view: CdrView, link: Link | None = None) -> dict[str, Any]:
    """One CDR of a list or a package: without the facts in full."""
    listed: dict[str, Any] = {
        "cdrId": view.cdr.cdr_id,
        "domainId": view.domain_id,
        "domain": view.domain,
        "createdAt": view.create_ms,
        "packageId": view.cdr.package_id,
        "customMetadata": view.cdr.custom,
        "disclosures": view.cdr.disclosures,
        "state": view.state,
        # An invalidated CDR is answered as CDR_INVALID, never with `false` here.
        "valid": True,
        "imageState": view.image_state,
        "reportState": view.report_state,
    }
    if view.cdr.capture_ms is not None:
        listed["captureTime"] = view.cdr.capture_ms
    if view.owned:
        # A sub-group's name can say who else bought the lead: the owner's eyes only.
        listed["subGroupIds"] = view.cdr.sub_group_ids
    return listed | _links(view, link)


def shown_whole(view: CdrView, link: Link | None = None) -> dict[str, Any]:
    """One CDR by itself, with the facts its manifest is over."""
    return shown(view, link) | {"facts": view.facts}


def _links(view: CdrView, link: Link | None) -> dict[str, str]:
    if link is None or view.state is not State.COLLECTED:
        return {}
    states = {"image": view.image_state, "report": view.report_state}
    return {
        field: link(view.cdr.cdr_id, name) for name, field in _ARTIFACTS if states[name] == "ready"
    }
