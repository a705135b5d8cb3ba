"""Sets an evidence service up unattended: two orgs with a key each, and a domain.

    python examples/prepare_evidence.py

Reads `LEADGATE_EVIDENCE_PUBLIC_URL` and `LEADGATE_EVIDENCE_OPERATOR_KEY` of the service,
and the keys that it is to know: the generator's in `FORMS_EXAMPLE_EVIDENCE_KEY`, the
buyer's in `LEADGATE_EVIDENCE_API_KEY`. May run again: what is there already stays.
"""

from __future__ import annotations

import os
import sys

import httpx

ORGS = {
    "forms-example": "FORMS_EXAMPLE_EVIDENCE_KEY",
    "buyer-one": "LEADGATE_EVIDENCE_API_KEY",
}
DOMAIN = {"orgId": "forms-example", "domainId": "forms", "name": "forms.example.com"}


def prepare(admin: httpx.Client) -> None:
    """Adds the orgs, their keys and the domain. Raises `httpx.HTTPError`."""
    for org_id, variable in ORGS.items():
        _add(admin, "orgs", {"orgId": org_id, "name": org_id})
        _add(admin, "keys", {"orgId": org_id, "key": os.environ[variable]})
    _add(admin, "domains", DOMAIN)


def _add(admin: httpx.Client, what: str, body: dict[str, str]) -> None:
    answer = admin.post(f"/admin/v1/{what}", json=body)
    if answer.status_code != httpx.codes.CONFLICT:
        answer.raise_for_status()
        print(f"{what}: {body['orgId']}")


def main() -> int:
    """Runs the command line. Exit codes: 0 prepared, 1 not, with the reason on stderr."""
    try:
        with httpx.Client(
            base_url=os.environ["LEADGATE_EVIDENCE_PUBLIC_URL"],
            headers={"X-API-Key": os.environ["LEADGATE_EVIDENCE_OPERATOR_KEY"]},
            trust_env=False,
        ) as admin:
            prepare(admin)
    except KeyError as missing:
        print(f"{missing.args[0]}: required, and not set", file=sys.stderr)
        return 1
    except httpx.HTTPError as error:
        print(f"the evidence service refused: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
