"""Market documents: what they ask for, and every mistake with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.market import Encoding, Role, Transport
from gateway.market_file import read
from gateway.market_plan import Document, WantedBuyer, WantedGenerator
from leadgate.share_url import EvidenceHost

SECRET = "a-secret-that-nobody-may-see"
ENVIRONMENT = {
    "FORMS_EXAMPLE_KEY": f"forms.{SECRET}",
    "BUYER_ONE_KEY": f"one.{SECRET}",
    "BUYER_TWO_KEY": f"two.{SECRET}",
    "NOT_A_KEY": SECRET,
    "EMPTY": "",
}
EXAMPLE = Path(__file__).parents[3] / "examples" / "market.yaml"


def mistakes(text: str) -> list[str]:
    """The mistakes of a document, as people read them."""
    return [str(mistake) for mistake in sorted(read(text, ENVIRONMENT).mistakes)]


def test_the_example_is_read_without_a_mistake() -> None:
    """What the repository shows works as it stands."""
    document = read(EXAMPLE.read_text(), ENVIRONMENT)
    assert document.mistakes == ()
    assert document.generators == (WantedGenerator("forms-example"),)
    one, two = document.buyers
    assert (one.transport, one.encoding, set(one.accepts)) == ("kafka", "protobuf", {"*"})
    assert (two.transport, set(two.accepts)) == ("pull", {"forms-example"})
    assert [(key.key_id, key.role, key.subject) for key in document.api_keys] == [
        ("forms", Role.GENERATOR, "forms-example"),
        ("one", Role.BUYER, "buyer-one"),
        ("two", Role.BUYER, "buyer-two"),
    ]


def test_what_a_document_leaves_out_has_a_default() -> None:
    """A buyer needs an id and a transport; hosts that are not given are not touched."""
    document = read("buyers: [{id: b, transport: pull}]", {})
    assert document == Document(
        buyers=(WantedBuyer("b", Transport.PULL, Encoding.PROTOBUF, {}, None),)
    )
    assert document.evidence_hosts is None
    assert read("evidence_hosts: []", {}).evidence_hosts == ()


def test_evidence_hosts_are_read_in_their_normal_form() -> None:
    """Case and default ports do not make another host; networks are kept sorted."""
    text = """
evidence_hosts:
  - {host: "Evidence.Example.com:443", networks: [fd00::/8, 10.0.0.0/8, 10.0.0.0/8]}
  - {host: "[::1]:8080", insecure: true}
"""
    expected = ("evidence.example.com;networks=10.0.0.0/8 fd00::/8", "[::1]:8080;insecure=true")
    assert read(text, {}).evidence_hosts == tuple(map(EvidenceHost.parse, expected))


def test_every_mistake_is_listed_with_its_line() -> None:
    """Nothing is hidden behind the first mistake."""
    text = """generators:
  - id: Forms
    paused: yes
  - id: twice
    colour: red
  - id: twice
buyers:
  - transport: kafka
  - id: buyer-one
    transport: carrier-pigeon
    encoding: xml
    accepts: ["*", twice, twice, No_Id]
    keys:
      - {env: MISSING}
      - {env: EMPTY}
      - {env: NOT_A_KEY}
      - env: BUYER_ONE_KEY
      - env: BUYER_ONE_KEY
evidence_hosts:
  - {host: "https://evidence.example.com"}
  - {host: h, networks: [10.0.0.1/8], insecure: 1}
  - {host: H}
surprise: 1
"""
    the_id = "must be 1 to 63 characters of a-z, 0-9 and -"
    cidr = "must be a network in CIDR form, such as 10.0.0.0/8, with no host bits set"
    key = "the environment variable"
    assert mistakes(text) == [
        f"line 2: generators[0].id: {the_id}",
        "line 3: generators[0].paused: must be true or false",
        "line 5: generators[1].colour: is not a field of this document",
        "line 6: generators[2]: twice stands in this list twice",
        "line 8: buyers[0]: id is missing",
        "line 10: buyers[1].transport: must be kafka or pull",
        "line 11: buyers[1].encoding: must be protobuf or json",
        'line 12: buyers[1].accepts: "*" is every generator, so it stands alone',
        "line 12: buyers[1].accepts[2]: twice stands in this list twice",
        f'line 12: buyers[1].accepts[3]: must be "*" or a generator id, which {the_id}',
        f"line 14: buyers[1].keys[0]: {key} MISSING is not set",
        f"line 15: buyers[1].keys[1]: {key} EMPTY is not set",
        f"line 16: buyers[1].keys[2]: {key} NOT_A_KEY does not hold <key_id>.<secret>",
        "line 18: buyers[1].keys[4]: key one stands in line 17 already",
        "line 20: evidence_hosts[0].host: must name a host, with at most a port",
        "line 21: evidence_hosts[1].insecure: must be true or false",
        f"line 21: evidence_hosts[1].networks[0]: {cidr}",
        "line 22: evidence_hosts[2]: h stands in this list twice",
        "line 23: surprise: is not a field of this document",
    ]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "line 1: the document is empty"),
        ("# nothing\n", "line 1: the document is empty"),
        ("generators:\n", "line 1: generators: must be a list"),
        ("- a\n", "line 1: must be a mapping"),
        ("generators: [a]", "line 1: generators[0]: must be a mapping"),
        ("buyers: {a: b}", "line 1: buyers: must be a list"),
        ("generators: []\ngenerators: []", "line 2: generators: is given twice"),
        ("generators:\n  - [", "line 2: not YAML: expected the node content, but found"),
        ("a: 1\n---\nb: 2", "line 2: not YAML: but found another document"),
        ("generators:\n- id: *x", "line 2: not YAML: found undefined alias"),
        ("generators: []\n# \x01", "line 2: not YAML: holds a control character"),
        ("? [a]\n: b", "line 1: ?: is not a field of this document"),
        ("generators: [{id: true}]", "line 1: generators[0].id: must be 1 to 63 characters"),
        ("generators: [{id: !!binary aa}]", "line 1: generators[0].id: must be 1 to 63"),
        ("generators: [{id: " + "a" * 64 + "}]", "line 1: generators[0].id: must be 1 to 63"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_line(text: str, mistake: str) -> None:
    """Syntax and shape are explained like everything else."""
    (found,) = mistakes(text)
    assert found.startswith(mistake)


@pytest.mark.parametrize(
    "entry", ["{SECRET}", "{env: {SECRET}}", "{{SECRET}: x}", "{key: {SECRET}}"]
)
def test_a_key_that_went_into_the_document_is_not_repeated(entry: str) -> None:
    """A mistake may end in a log, and the key must not."""
    key = f"forms.{SECRET}"
    text = "generators: [{id: a, keys: [" + entry.replace("{SECRET}", key) + "]}]"
    found = mistakes(text)
    assert found
    assert SECRET not in " ".join(found)


def test_a_document_above_the_size_limit_is_refused() -> None:
    """1 MiB is the most that is parsed."""
    assert mistakes("#" * (1 << 20)) == ["line 1: the document is empty"]
    assert mistakes("#" * ((1 << 20) + 1)) == ["line 1: the document is larger than 1 MiB"]


def test_a_deep_document_is_refused() -> None:
    """Nesting cannot exhaust the stack."""
    (found,) = mistakes("generators: " + "[" * 100_000)
    assert found.startswith("line 1: not YAML")


def test_an_alias_bomb_is_refused() -> None:
    """A few lines that ask for millions of entries are counted, and stopped."""
    names = ", ".join(f"g{number}" for number in range(2_000))
    text = f"x: &many [{names}]\nbuyers:\n" + "- {id: a, transport: pull, accepts: *many}\n" * 200
    assert mistakes(text) == ["line 1: asks for more than 200000 entries"]


def test_an_alias_that_holds_itself_is_only_of_the_wrong_shape() -> None:
    """Entries are read to a fixed depth, so a cycle ends."""
    (found,) = mistakes("generators: &a [*a]")
    assert found == "line 1: generators[0]: must be a mapping"


def test_aliases_may_be_used_within_reason() -> None:
    """A list that several hosts share is written once."""
    text = """
evidence_hosts:
  - {host: a, networks: &inside [10.0.0.0/8]}
  - {host: b, networks: *inside}
"""
    hosts = read(text, {}).evidence_hosts or ()
    assert len({host.networks for host in hosts}) == 1


@given(st.text() | st.text(alphabet="[]{}:-&*!?|>%@ \n\t'\"ageinrtosbuy#,0\ud800"))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    """Whatever an operator sends, the answer is a document or mistakes with lines."""
    document = read(text, {})
    assert all(mistake.place.line >= 1 for mistake in document.mistakes)
