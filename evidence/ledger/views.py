"""CDRs as one org sees them: the columns of a view, and the view made of a row."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Select, select

from evidence.access import Basis, Standing
from evidence.commands import Cdr, CdrView
from evidence.ledger.tables import cdrs, domains, orgs, packages, standings
from evidence.manifest import facts

_COLUMNS = (
    cdrs.c.number,
    cdrs.c.cdr_id,
    orgs.c.org_id,
    domains.c.domain_id,
    domains.c.name.label("domain_name"),
    packages.c.package_id,
    packages.c.session_id,
    *(
        cdrs.c[name]
        for name in (
            "capture_id", "create_ms", "capture_ms", "ip", "user_agent", "late", "url", "title",
            "browser", "sub_group_ids", "custom", "disclosures", "disclosure_claims",
            "disclosure_flags", "image_state", "report_state", "complete_ms", "invalidate_ms",
            "purge_ms",
        )
    ),
    standings.c.basis,
    standings.c.owner,
)  # fmt: skip
_NAMES = tuple(column.name for column in _COLUMNS)


def views() -> Select[Any]:
    """Selects the columns of a view of every CDR an org has a standing with; add `where`."""
    return (
        select(*_COLUMNS)
        .join_from(standings, cdrs, cdrs.c.number == standings.c.cdr)
        .join(domains, domains.c.number == cdrs.c.domain)
        .join(packages, packages.c.number == cdrs.c.package)
        .join(orgs, orgs.c.number == cdrs.c.org)
    )


def standing_view(row: Any) -> CdrView:
    """The view that a row of `views` stands for."""
    stored = dict(zip(_NAMES, row, strict=True))
    return CdrView(
        cdr=Cdr(
            cdr_id=stored["cdr_id"],
            capture_ms=stored["capture_ms"],
            package_id=stored["package_id"],
            sub_group_ids=json.loads(stored["sub_group_ids"]),
            custom=json.loads(stored["custom"]),
            disclosures=json.loads(stored["disclosures"]),
            session_id=stored["session_id"],
        ),
        domain_id=stored["domain_id"],
        domain=stored["domain_name"],
        create_ms=stored["create_ms"],
        state=Standing(Basis(stored["basis"])).state,
        owned=bool(stored["owner"]),
        image_state=stored["image_state"],
        report_state=stored["report_state"],
        complete_ms=stored["complete_ms"],
        facts=facts(stored),
    )


def ended(row: Any) -> tuple[int | None, int | None]:
    """When the CDR of a row was invalidated and when deleted, None where it was not."""
    return row[_NAMES.index("invalidate_ms")], row[_NAMES.index("purge_ms")]
