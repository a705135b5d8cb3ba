"""Packages: who may share one, and that a claim of many is many claims by the same rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import Connection, create_engine

from evidence import access
from evidence.access import Basis, Member, PackageRefusal, Standing, State
from evidence.commands import AddCdr, AddDomain, AddOrg, Cdr, Claimed, GetCdr, ListCharges
from evidence.errors import EvidenceError, FailedPrecondition, Forbidden, NotFound
from evidence.ledger.ledger import _READERS, _WRITERS
from evidence.ledger.tables import metadata
from evidence.ledger.transaction import Transaction
from evidence.packages import ClaimPackage, GetPackage, SharePackage
from evidence.signing import Vault
from tests.unit.evidence.test_access import History

OWNER, ORGS, CDRS = 0, 4, 4
GROUPS = ("a", "b")

_standings = st.builds(Standing, st.sampled_from(Basis), st.booleans())
_members = st.builds(Member, _standings, st.frozensets(st.sampled_from("abc"), max_size=2))


@given(members=st.lists(_members, max_size=5), named=st.frozensets(st.sampled_from("abc")))
def test_a_session_over_several_sub_groups_wants_all_of_them_by_name(
    members: list[Member], named: frozenset[str]
) -> None:
    """Exactly all of them, no more and no fewer; a sub-group's own package wants none."""
    over = access.spanned(members)
    refusal = access.package_refusal(members, session=True, named=named)
    shareable = bool(members) and all(member.standing.may_share for member in members)
    if not shareable:
        assert refusal in {PackageRefusal.UNSEEN, PackageRefusal.ONLY_SAVED}
    elif len(over) < 2 or named == over:
        assert refusal is None
    else:
        assert refusal is PackageRefusal.SPANS
    sub_group = access.package_refusal(members, session=False, named=())
    assert (sub_group is None) == shareable


def test_a_legacy_collect_gives_the_sharer_access_but_makes_no_payer_of_it() -> None:
    """Collected in both orgs, and the bill is the collector's alone."""
    verdict = access.collected_by_partner(Standing(Basis.UNPAID, owner=True))
    assert verdict.standing.state is State.COLLECTED
    assert (verdict.billed, verdict.standing.is_payer) == (False, False)
    paid = Standing(Basis.PAID, owner=True)
    assert access.collected_by_partner(paid).standing == paid


class OnePackage(RuleBasedStateMachine):
    """A session of four CDRs among four orgs, on the real tables, beside the reference model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.signer = Vault(Path(self.folder.name)).signer
        self.connection = create_engine("sqlite://").connect()
        metadata.create_all(self.connection)
        self.shares: list[tuple[int, bytes, frozenset[int]]] = []
        self.made = 0

    def teardown(self) -> None:
        """Closes the database."""
        self.connection.close()
        self.connection.engine.dispose()
        self.folder.cleanup()

    @initialize(auto_collect=st.booleans(), tagged=st.lists(st.sampled_from(GROUPS), min_size=4))
    def capture(self, auto_collect: bool, tagged: list[str]) -> None:
        """The owner captures four CDRs, each tagged for one sub-group."""
        self.numbers = [
            do(self, AddOrg(name(org), "An org", auto_collect=auto_collect)) for org in range(ORGS)
        ]
        do(self, AddDomain("dom", name(OWNER), "www.example.com"))
        self.groups = tagged[:CDRS]
        self.models = [History(billed=[OWNER] if auto_collect else []) for _ in range(CDRS)]
        for cdr, group in enumerate(self.groups):
            new = Cdr(f"cdr_{cdr}", None, "pkg", [group], {}, [], session_id="session")
            do(self, AddCdr(name(OWNER), "dom", new, None, 0))
        self.session = do(self, GetPackage(self.numbers[OWNER], "pkg"))
        self.packages = {"": "pkg", **self.session.sub_group_packages}

    @rule(org=st.integers(0, ORGS - 1), group=st.sampled_from(("", *GROUPS)), named=st.booleans())
    def share(self, org: int, group: str, named: bool) -> None:
        """Somebody shares what it has of a package, with or without naming the sub-groups."""
        if group not in self.packages:
            return
        mine = {c for c in self.members(group) if self.sees(org, c)}
        over = {self.groups[c] for c in mine} if org == OWNER else set()
        may = all(org == OWNER or self.models[c].has_access(org) for c in mine)
        digest = self.a_digest()
        across = frozenset(over) if named else frozenset()
        wanted = SharePackage(self.numbers[org], self.packages[group], digest, 1000, across)
        if not mine:
            refused(self, wanted, NotFound)
        elif not may:
            refused(self, wanted, Forbidden)
        elif not group and len(over) > 1 and not named:
            refused(self, wanted, FailedPrecondition)
        else:
            answer = do(self, wanted)
            assert answer.cdr_ids == [f"cdr_{c}" for c in sorted(mine)]
            self.shares.append((org, digest, frozenset(mine)))

    @rule(org=st.integers(0, ORGS - 1), which=st.integers(0, 99), collect=st.booleans())
    def claim(self, org: int, which: int, collect: bool) -> None:
        """Somebody claims a package share: each CDR by the rules of a single one."""
        if not self.shares:
            return
        sharer, digest, listed = self.shares[which % len(self.shares)]
        before = {c: self.models[c].has_access(org) and self.claimed(org, c) for c in listed}
        answer = do(self, ClaimPackage(self.numbers[org], digest, collect))
        for cdr in listed:
            self.models[cdr].claim(org, sharer, collect=collect, event=f"{which}")
        assert [result.cdr_id for result in answer.results] == [f"cdr_{c}" for c in sorted(listed)]
        for cdr, result in zip(sorted(listed), answer.results, strict=True):
            assert isinstance(result, Claimed)
            state = State.COLLECTED if self.models[cdr].has_access(org) else State.PENDING
            assert result.state is state
            assert result.repeated == (org == sharer or before[cdr])
        assert answer.repeated == all(org == sharer or before[cdr] for cdr in listed)

    @invariant()
    def nobody_sees_or_pays_what_the_model_does_not_say(self) -> None:
        """Bills, sight and state of each CDR are those of the model; packages show no sibling."""
        if not hasattr(self, "models"):
            return
        for org in range(ORGS):
            bills = Counter(charge.cdr_id for charge in do(self, ListCharges(name(org))))
            expected = Counter(f"cdr_{c}" for c in range(CDRS) if org in self.models[c].billed)
            assert bills == expected
            seen = {c for c in range(CDRS) if self.sees(org, c)}
            for cdr in seen:
                view = do(self, GetCdr(self.numbers[org], f"cdr_{cdr}"))
                has = self.models[cdr].has_access(org)
                assert view.state is (State.COLLECTED if has else State.PENDING)
            self.package_shows(org, seen)

    def package_shows(self, org: int, seen: Collection[int]) -> None:
        """The session's package shows an org its own CDRs, and a buyer no name."""
        wanted = GetPackage(self.numbers[org], "pkg")
        if not seen:
            refused(self, wanted, NotFound)
            return
        package = do(self, wanted)
        assert [view.cdr.cdr_id for view in package.cdrs] == [f"cdr_{c}" for c in sorted(seen)]
        assert bool(package.sub_group_packages) == (org == OWNER)

    def members(self, group: str) -> list[int]:
        """The CDRs of a package."""
        return [c for c in range(CDRS) if group in ("", self.groups[c])]

    def sees(self, org: int, cdr: int) -> bool:
        """Whether the model says that the org has the CDR."""
        return org in self.models[cdr].saved

    def claimed(self, org: int, cdr: int) -> bool:
        """Whether the org has claimed the CDR before."""
        return org in self.models[cdr].first_event

    def a_digest(self) -> bytes:
        """A new token's digest."""
        self.made += 1
        return self.made.to_bytes(32, "big")


def do(machine: OnePackage, asked: Any) -> Any:
    """Does a command or query in a transaction of its own, as the ledger would."""
    connection: Connection = machine.connection
    tx = Transaction(connection, 0, machine.signer)
    return ({**_WRITERS, **_READERS})[type(asked)](tx, asked)


def refused(machine: OnePackage, asked: Any, kind: type[EvidenceError]) -> None:
    """What is asked for is refused so."""
    with pytest.raises(kind):
        do(machine, asked)


def name(org: int) -> str:
    """The id of an org."""
    return f"org-{org}"


OnePackage.TestCase.settings = settings(max_examples=40, stateful_step_count=20)
TestOnePackage = OnePackage.TestCase
