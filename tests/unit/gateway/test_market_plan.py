"""What has to change for a document to hold, and where it cannot."""

from __future__ import annotations

from dataclasses import replace

from gateway.market import ApiKey, Buyer, Encoding, Generator, Market, Role, Transport
from gateway.market_plan import (
    Document,
    DocumentError,
    Item,
    Mistake,
    Place,
    WantedBuyer,
    WantedGenerator,
    WantedKey,
    contradictions,
    plan,
)
from leadgate.share_url import EvidenceHost, by_authority

HERE = Place(3, "somewhere")
KEY = ApiKey("k", b"d" * 32, Role.BUYER, "buyer-one", 5)
MARKET = Market(
    generators={"forms-example": Generator("forms-example", key=1)},
    buyers={"buyer-one": Buyer("buyer-one", Transport.KAFKA, accepts=("*",), key=1)},
    evidence_hosts=by_authority([EvidenceHost("evidence.example.com")]),
    api_keys={"k": KEY},
)


def planned(document: Document, market: Market = MARKET) -> list[tuple[str, Item]]:
    """The changes as pairs."""
    return [(change.text, change.item) for change in plan(market, document, now=9)]


def wanted_key(**changes: object) -> WantedKey:
    """A key that the market has, or one that differs from it."""
    key = WantedKey("k", b"d" * 32, Role.BUYER, "buyer-one", HERE)
    return replace(key, **changes)  # type: ignore[arg-type]


def test_what_is_new_is_created() -> None:
    """Each kind of thing, in the order in which others refer to it."""
    document = Document(
        generators=(WantedGenerator("g"), WantedGenerator("h", paused=True)),
        buyers=(WantedBuyer("b", Transport.PULL, Encoding.JSON, {"h": HERE, "g": HERE}),),
        evidence_hosts=(EvidenceHost("a"),),
        api_keys=(wanted_key(key_id="n", subject="b"),),
    )
    assert planned(document, Market()) == [
        ("generator g: created", Generator("g")),
        ("generator h: created, paused", Generator("h", paused=True)),
        ("buyer b: created", Buyer("b", Transport.PULL, Encoding.JSON, accepts=("g", "h"))),
        ("evidence host a: added", EvidenceHost("a")),
        ("buyer b: key n created", ApiKey("n", b"d" * 32, Role.BUYER, "b", 9)),
    ]


def test_what_holds_already_is_no_change() -> None:
    """The same document a second time has nothing to do."""
    document = Document(
        generators=(WantedGenerator("forms-example", paused=False),),
        buyers=(WantedBuyer("buyer-one", Transport.KAFKA, accepts={"*": HERE}),),
        evidence_hosts=(EvidenceHost("evidence.example.com"),),
        api_keys=(wanted_key(),),
    )
    assert planned(document) == []


def test_what_the_document_does_not_name_is_left_alone() -> None:
    """Only evidence hosts are a whole list, and only where they are given."""
    assert planned(Document()) == []


def test_differences_are_spelled_out() -> None:
    """An operator reads what was and what will be."""
    (change,) = planned(
        Document(
            buyers=(
                WantedBuyer(
                    "buyer-one", Transport.PULL, accepts={"forms-example": HERE}, paused=True
                ),
            )
        )
    )
    text, buyer = change
    assert text == (
        "buyer buyer-one: transport kafka → pull, paused false → true,"
        ' accepts ["*"] → ["forms-example"]'
    )
    assert buyer == Buyer(
        "buyer-one", Transport.PULL, paused=True, accepts=("forms-example",), key=1
    )


def test_a_pause_stays_where_the_document_is_silent() -> None:
    """To apply the market must not resume what an operator paused."""
    paused = Market(
        generators={"g": Generator("g", paused=True, key=1)},
        buyers={"b": Buyer("b", Transport.PULL, paused=True, key=1)},
    )
    silent = Document((WantedGenerator("g"),), (WantedBuyer("b", Transport.PULL),))
    assert planned(silent, paused) == []
    resumed = planned(Document((WantedGenerator("g", paused=False),)), paused)
    assert resumed == [("generator g: paused true → false", Generator("g", key=1))]


def test_evidence_hosts_are_the_whole_list() -> None:
    """What the list no longer has is removed, what differs is changed."""
    host = EvidenceHost.parse("b;networks=10.0.0.0/8;insecure=true")
    market = Market(evidence_hosts=by_authority([EvidenceHost("a"), EvidenceHost("b")]))
    assert planned(Document(evidence_hosts=(host,)), market) == [
        ('evidence host b: networks [] → ["10.0.0.0/8"], insecure false → true', host),
        ("evidence host a: removed", EvidenceHost("a")),
    ]


def test_a_buyer_accepts_known_generators_only() -> None:
    """Known are those of the market and those of the document."""
    accepts = {name: Place(7, name) for name in ("*", "forms-example", "new", "nobody")}
    document = Document(
        (WantedGenerator("new"),), (WantedBuyer("b", Transport.PULL, accepts=accepts),)
    )
    assert list(contradictions(MARKET, document)) == [
        Mistake(Place(7, "nobody"), "there is no generator nobody")
    ]


def test_a_stored_key_is_never_replaced_or_taken_over() -> None:
    """Another secret and another owner are mistakes, not changes."""
    cases = {
        "exists with another secret": wanted_key(digest=b"e" * 32),
        "belongs to somebody else": wanted_key(subject="buyer-two"),
    }
    for problem, key in cases.items():
        (mistake,) = contradictions(MARKET, Document(api_keys=(key,)))
        assert str(mistake).startswith(f"line 3: somewhere: key k {problem}")
    assert list(contradictions(MARKET, Document(api_keys=(wanted_key(),)))) == []


def test_a_revoked_key_in_the_document_stays_revoked() -> None:
    """It is no mistake either: the gateway applies its document again at each start."""
    market = MARKET.with_key(replace(KEY, revoke_time=7))
    document = Document(api_keys=(wanted_key(),))
    assert list(contradictions(market, document)) == []
    assert planned(document, market) == []


def test_mistakes_are_listed_by_line_and_their_number_is_bounded() -> None:
    """However wrong a document is, the answer has a size."""
    mistakes = [Mistake(Place(line, "x"), "wrong") for line in range(1_000, 0, -1)]
    error = DocumentError(mistakes)
    problems = [violation.problem for violation in error.violations]
    assert (problems[0], problems[-1]) == ("line 1: x: wrong", "and 800 more mistakes")
    assert {violation.field for violation in error.violations} == {"yaml"}
    assert str(error) == "market document, line 1: x: wrong and 999 more mistakes"
