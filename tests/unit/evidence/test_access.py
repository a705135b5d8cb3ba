"""Who sees and who pays, held against a model that only remembers what has happened."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from evidence import access
from evidence.access import Basis, Standing, State

ORGS = st.integers(0, 4)
OWNER = 0


@dataclass
class History:
    """The contract told as a history of one CDR: who was billed, who got it free, who saved it."""

    billed: list[int] = field(default_factory=list)
    got_free: set[int] = field(default_factory=set)
    saved: set[int] = field(default_factory=lambda: {OWNER})
    first_event: dict[int, str] = field(default_factory=dict)

    def has_access(self, org: int) -> bool:
        """Paid, or received from a payer."""
        return org in self.billed or org in self.got_free

    def claim(self, org: int, sharer: int, *, collect: bool, event: str) -> None:
        """What the contract says a claim leads to."""
        if org == sharer:
            return
        self.saved.add(org)
        self.first_event.setdefault(org, event)
        if self.has_access(org):
            return
        if sharer in self.billed:
            self.got_free.add(org)
        elif collect:
            self.billed.append(org)


class OneCdr(RuleBasedStateMachine):
    """Any order of claims and collects by five orgs, by the rules and by the model."""

    @initialize(auto_collect=st.booleans())
    def capture(self, auto_collect: bool) -> None:
        """The owner captures."""
        verdict = access.captured(auto_collect=auto_collect)
        self.standings: dict[int, Standing] = {OWNER: verdict.standing}
        self.bills = [OWNER] if verdict.billed else []
        self.model = History(billed=[OWNER] if auto_collect else [])
        self.events = 0

    @rule(org=ORGS, sharer=ORGS, collect=st.booleans())
    def claim(self, org: int, sharer: int, collect: bool) -> None:
        """Somebody claims a share of somebody who may share."""
        shares = self.standings.get(sharer)
        if shares is None or not shares.may_share:
            return
        self.events += 1
        event = f"se_{self.events}"
        mine = self.standings.get(org)
        if org == sharer:
            verdict = access.claimed_own(shares)
            assert verdict.standing == shares
        else:
            verdict = access.claimed(
                mine, payer_shares=shares.is_payer, collect=collect, event_id=event
            )
            claimed_before = org in self.model.first_event and self.model.has_access(org)
            assert verdict.repeated == claimed_before
        self._take(org, verdict)
        self.model.claim(org, sharer, collect=collect, event=event)

    @rule(org=ORGS)
    def collect(self, org: int) -> None:
        """Somebody who sees the CDR pays for it."""
        mine = self.standings.get(org)
        if mine is None:
            return
        verdict = access.collected(mine)
        assert verdict.repeated == (org in self.model.billed)
        self._take(org, verdict)
        if org not in self.model.billed:
            self.model.billed.append(org)

    @invariant()
    def rules_and_model_agree(self) -> None:
        """Who sees, who has access, who may share and who was billed are the same."""
        model = self.model
        assert self.bills == model.billed
        assert set(self.standings) == model.saved
        for org, standing in self.standings.items():
            access_now = model.has_access(org)
            assert standing.state is (State.COLLECTED if access_now else State.PENDING)
            assert standing.may_share == (access_now or org == OWNER)
            assert standing.event_id == model.first_event.get(org)

    @invariant()
    def nobody_is_billed_twice(self) -> None:
        """The bill has an org once at most."""
        assert len(self.bills) == len(set(self.bills))

    def _take(self, org: int, verdict: access.Verdict) -> None:
        self.standings[org] = verdict.standing
        if verdict.billed:
            self.bills.append(org)


TestOneCdr = OneCdr.TestCase


@given(collect=st.booleans())
def test_free_access_travels_one_hop(collect: bool) -> None:
    """A payer's partner has it free, the partner's partner does not."""
    payer = access.captured(auto_collect=True).standing
    partner = access.claimed(None, payer_shares=payer.is_payer, collect=collect, event_id="se_1")
    assert (partner.standing.basis, partner.billed) == (Basis.FREE, False)
    second = access.claimed(
        None, payer_shares=partner.standing.is_payer, collect=collect, event_id="se_2"
    )
    assert second.billed == collect


def test_whoever_only_saved_a_cdr_may_not_share_it_but_its_owner_may() -> None:
    """Unpaid is not the same for an owner and for a saver."""
    saved = access.claimed(None, payer_shares=False, collect=False, event_id="se_1").standing
    owned = access.captured(auto_collect=False).standing
    assert saved.state is owned.state is State.PENDING
    assert not saved.may_share
    assert owned.may_share


def test_a_default_claim_after_a_save_collects_and_is_no_repeat() -> None:
    """Saved first, billed later, once, under the first event id."""
    saved = access.claimed(None, payer_shares=False, collect=False, event_id="se_1").standing
    later = access.claimed(saved, payer_shares=False, collect=True, event_id="se_2")
    assert (later.billed, later.repeated, later.standing.event_id) == (True, False, "se_1")
    again = access.claimed(later.standing, payer_shares=False, collect=True, event_id="se_3")
    assert (again.billed, again.repeated, again.standing) == (False, True, later.standing)
