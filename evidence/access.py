"""Who sees a CDR and who pays for it: pure rules over one org's standing with one CDR.

An org has access when it paid (at capture, by a claim, by a collect), or when it
claimed a share of an org that has paid. Free access travels one hop: it makes nobody
a payer. Whether the sharer has paid is judged when the share is claimed, not when it
was made. An org pays at most once for a CDR.

Nothing here knows time, HTTP or SQL: `ledger.rights` feeds these functions inside the
committing transaction, so that two claims at once are judged one after the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum


class Basis(IntEnum):
    """On what ground an org has a CDR; it only ever rises. The numbers are stored."""

    UNPAID = 0
    """Its owner, with auto-collect off, or an org that only saved it: no access."""
    FREE = 1
    """Claimed a payer's share: access, but nobody gets it free from here."""
    PAID = 2
    """Was billed: access, and whoever claims its shares has it free."""


class State(StrEnum):
    """An org's state of a CDR, in the words of the contract."""

    PENDING = "pending"
    COLLECTED = "collected"


@dataclass(frozen=True, slots=True)
class Standing:
    """What one org has to do with one CDR. An org without one does not see the CDR.

    Attributes:
        basis: see `Basis`.
        owner: whether the org captured it.
        event_id: the org's first share event for this CDR, None before any claim.
    """

    basis: Basis
    owner: bool = False
    event_id: str | None = None

    @property
    def state(self) -> State:
        """Collected once there is access, paid or free; pending before."""
        return State.PENDING if self.basis is Basis.UNPAID else State.COLLECTED

    @property
    def is_payer(self) -> bool:
        """Whether this org's shares are free for those who claim them."""
        return self.basis is Basis.PAID

    @property
    def may_share(self) -> bool:
        """An owner always; another org once it has access: to have saved is not enough."""
        return self.owner or self.basis is not Basis.UNPAID


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a deed leads to.

    Attributes:
        standing: the org's standing from now on.
        billed: whether the org is billed by this deed.
        repeated: whether the deed had been done before and changed nothing.
    """

    standing: Standing
    billed: bool = False
    repeated: bool = False


def captured(*, auto_collect: bool) -> Verdict:
    """The owner's standing at capture: billed at once where auto-collect is on."""
    basis = Basis.PAID if auto_collect else Basis.UNPAID
    return Verdict(Standing(basis, owner=True), billed=auto_collect)


def claimed(mine: Standing | None, *, payer_shares: bool, collect: bool, event_id: str) -> Verdict:
    """Judges the claim of another org's share.

    A payer's share gives free access even with `collect` off. Another one bills where
    `collect` is on, and is only saved where it is off. Access, once there, stays as it
    is: a later claim never bills and is a repeat once a claim was answered with it.
    """
    before = mine or Standing(Basis.UNPAID)
    basis, billed = _judged(before.basis, payer_shares=payer_shares, collect=collect)
    repeated = before.event_id is not None and before.basis is not Basis.UNPAID
    after = replace(before, basis=basis, event_id=before.event_id or event_id)
    return Verdict(after, billed=billed, repeated=repeated)


def claimed_own(mine: Standing) -> Verdict:
    """Judges the claim of one's own share: it changes nothing."""
    return Verdict(mine, repeated=True)


def collected(mine: Standing) -> Verdict:
    """Judges a collect of a CDR the org sees: bills unless the org has paid before.

    Whoever has free access may collect too, to become a payer.
    """
    if mine.is_payer:
        return Verdict(mine, repeated=True)
    return Verdict(replace(mine, basis=Basis.PAID), billed=True)


def collected_by_partner(mine: Standing) -> Verdict:
    """The sharer's side of a legacy collect, which marks both orgs: access, and no bill.

    It makes no payer of the sharer: whoever claims from it later still pays.
    """
    if mine.basis is not Basis.UNPAID:
        return Verdict(mine, repeated=True)
    return Verdict(replace(mine, basis=Basis.FREE))


class PackageRefusal(StrEnum):
    """Why a package cannot be shared as it is."""

    UNSEEN = "unseen"
    """The org has none of its CDRs: to it, the package does not exist."""
    ONLY_SAVED = "only saved"
    """One of the CDRs it has was only saved, and so is not its to share."""
    SPANS = "spans"
    """A session of several sub-groups, each meant for another buyer, not shared by name."""


@dataclass(frozen=True, slots=True)
class Member:
    """A CDR of a package, as far as the org that would share the package sees it.

    `sub_groups` are the names it is tagged with, empty where the org is not its owner.
    """

    standing: Standing
    sub_groups: frozenset[str] = frozenset()


def spanned(members: Iterable[Member]) -> frozenset[str]:
    """The sub-groups that a package reaches over."""
    return frozenset().union(*(member.sub_groups for member in members))


def package_refusal(
    members: Collection[Member], *, session: bool, named: Collection[str]
) -> PackageRefusal | None:
    """Judges the share of a package of these members; None where it may be shared.

    A session's package that spans several sub-groups needs all of them `named`: who
    shares it says by that whose pages it gives away. A sub-group's own package holds
    what was tagged for it, whatever else the same CDRs are tagged with.
    """
    if not members:
        return PackageRefusal.UNSEEN
    if not all(member.standing.may_share for member in members):
        return PackageRefusal.ONLY_SAVED
    over = spanned(members)
    if session and len(over) > 1 and set(named) != over:
        return PackageRefusal.SPANS
    return None


def _judged(basis: Basis, *, payer_shares: bool, collect: bool) -> tuple[Basis, bool]:
    if basis is not Basis.UNPAID:
        return basis, False
    if payer_shares:
        return Basis.FREE, False
    return (Basis.PAID, True) if collect else (Basis.UNPAID, False)
