"""AdminService, on a real ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from gateway.access import Caller, identify
from gateway.bell import Bell
from gateway.consent import Person
from gateway.delivery import delivery_id
from gateway.errors import InvalidRequestError, NotFoundError
from gateway.intake import Submission
from gateway.lead import RecipientEvidence
from gateway.ledger.admin import MarketAdmin
from gateway.ledger.ledger import SqlLedger
from gateway.ledger.resend import SqlResend
from gateway.market import Role
from gateway.rpc.admin import AdminRpc
from leadgate import keys
from leadgate.v1 import admin_service_pb2 as pb
from leadgate.v1 import market_pb2

OPERATOR = Caller(Role.OPERATOR)
LEAD = bytes(range(16))
DOCUMENT = """
generators:
  - {id: forms-example, keys: [{env: FORMS_KEY}]}
  - {id: another-form}
buyers:
  - {id: buyer-two, transport: pull, encoding: json, accepts: [forms-example]}
  - {id: buyer-one, transport: kafka, accepts: ["*"]}
evidence_hosts:
  - {host: evidence.example.com, networks: [10.0.0.0/8], insecure: true}
  - {host: archive.example.com}
"""
ENVIRONMENT = {"FORMS_KEY": str(keys.mint())}


@dataclass
class FakeTopic:
    """A topic that could not be made."""

    state: int = 4
    detail: str = "no such broker"


class FakeTopics:
    """Topics that all stand alike."""

    def state(self, buyer_id: str) -> FakeTopic:
        """The same for every buyer."""
        assert buyer_id == "buyer-one"
        return FakeTopic()


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    """A ledger with the market of the document."""
    async with SqlLedger(Bell()).opened(f"sqlite:///{tmp_path}/leadgate.db") as ledger:
        await MarketAdmin(ledger).apply_document(DOCUMENT, ENVIRONMENT)
        yield ledger


@pytest.fixture
def rpc(ledger: SqlLedger) -> AdminRpc:
    """The service."""
    return AdminRpc(MarketAdmin(ledger), SqlResend(ledger), FakeTopics())


async def violated(call: Any) -> list[str]:
    """The fields that a call is refused for."""
    with pytest.raises(InvalidRequestError) as refusal:
        await call
    return [violation.field for violation in refusal.value.violations]


async def test_a_document_is_applied_over_the_wire(rpc: AdminRpc, ledger: SqlLedger) -> None:
    """Its changes are answered line by line, and a dry run changes nothing."""
    request = pb.ApplyMarketRequest(
        yaml="buyers: [{id: new, transport: pull, keys: [{env: NEW_KEY}]}]",
        environment={"NEW_KEY": str(keys.mint())},
        dry_run=True,
    )
    planned = await rpc.apply_market(OPERATOR, request)
    assert planned.changes[0] == "buyer new: created"
    assert "new" not in ledger.market.buyers
    request.dry_run = False
    assert await rpc.apply_market(OPERATOR, request) == planned
    assert "new" in ledger.market.buyers


async def test_the_mistakes_of_a_document_are_violations(rpc: AdminRpc) -> None:
    """Each names the field `yaml`, and its line in the text."""
    request = pb.ApplyMarketRequest(yaml="buyers:\n  - transport: post\n")
    with pytest.raises(InvalidRequestError) as refusal:
        await rpc.apply_market(OPERATOR, request)
    assert [(one.field, one.problem) for one in refusal.value.violations] == [
        ("yaml", "line 2: buyers[0]: id is missing"),
        ("yaml", "line 2: buyers[0].transport: must be kafka or pull"),
    ]


async def test_generators_and_hosts_are_listed_by_name(rpc: AdminRpc) -> None:
    """In the form of the contract."""
    listed = await rpc.list_generators(OPERATOR, pb.ListGeneratorsRequest())
    assert [one.generator_id for one in listed.generators] == ["another-form", "forms-example"]
    assert listed.next_page_token == ""
    hosts = await rpc.list_evidence_hosts(OPERATOR, pb.ListEvidenceHostsRequest())
    assert list(hosts.evidence_hosts) == [
        market_pb2.EvidenceHost(host="archive.example.com"),
        market_pb2.EvidenceHost(
            host="evidence.example.com", networks=["10.0.0.0/8"], insecure=True
        ),
    ]


async def test_a_buyer_is_shown_with_its_topic_and_its_backlog(
    rpc: AdminRpc, ledger: SqlLedger
) -> None:
    """What waits for it, since when, and what is wrong with its topic."""
    accepted_from = ledger.now()
    await submit(ledger)
    answer = await rpc.get_buyer(OPERATOR, pb.GetBuyerRequest(buyer_id="buyer-one"))
    buyer = answer.buyer
    assert accepted_from <= buyer.oldest_unsettled_time.ToMicroseconds() <= ledger.now()
    buyer.ClearField("oldest_unsettled_time")
    assert buyer == market_pb2.Buyer(
        buyer_id="buyer-one",
        transport=market_pb2.TRANSPORT_KAFKA,
        encoding=market_pb2.ENCODING_PROTOBUF,
        accepted_generators=["*"],
        topic=market_pb2.Topic(
            name="leads.buyer-one",
            state=market_pb2.Topic.STATE_FAILING,
            detail="no such broker",
        ),
        waiting=1,
    )


async def test_a_pull_buyer_has_no_topic(rpc: AdminRpc) -> None:
    """And one with nothing before it no oldest delivery."""
    listed = await rpc.list_buyers(OPERATOR, pb.ListBuyersRequest())
    assert [one.buyer_id for one in listed.buyers] == ["buyer-one", "buyer-two"]
    assert listed.buyers[1] == market_pb2.Buyer(
        buyer_id="buyer-two",
        transport=market_pb2.TRANSPORT_PULL,
        encoding=market_pb2.ENCODING_JSON,
        accepted_generators=["forms-example"],
    )


async def test_without_kafka_the_operator_reads_why_a_topic_fails(ledger: SqlLedger) -> None:
    """A Kafka buyer of an embedded gateway would otherwise wait without a word."""
    rpc = AdminRpc(MarketAdmin(ledger), SqlResend(ledger), None)
    answer = await rpc.get_buyer(OPERATOR, pb.GetBuyerRequest(buyer_id="buyer-one"))
    assert answer.buyer.topic.state == market_pb2.Topic.STATE_FAILING
    assert "LEADGATE_KAFKA_BOOTSTRAP" in answer.buyer.topic.detail


async def test_a_listing_goes_on_where_the_page_before_ended(rpc: AdminRpc) -> None:
    """Every generator once, and no token after the last."""
    seen: list[str] = []
    token = ""
    for _ in range(2):
        request = pb.ListGeneratorsRequest(page_size=1, page_token=token)
        page = await rpc.list_generators(OPERATOR, request)
        seen += [one.generator_id for one in page.generators]
        token = page.next_page_token
    assert (seen, token) == (["another-form", "forms-example"], "")


async def test_a_token_of_one_listing_is_none_of_another(rpc: AdminRpc) -> None:
    """All that is wrong with the paging fields is said at once."""
    page = await rpc.list_generators(OPERATOR, pb.ListGeneratorsRequest(page_size=1))
    request = pb.ListBuyersRequest(page_size=-1, page_token=page.next_page_token)
    assert await violated(rpc.list_buyers(OPERATOR, request)) == ["page_size", "page_token"]


async def test_what_does_not_exist_is_not_found(rpc: AdminRpc) -> None:
    """For every RPC that names something; an empty id names nothing."""
    calls = (
        rpc.get_generator(OPERATOR, pb.GetGeneratorRequest(generator_id="nobody")),
        rpc.get_generator(OPERATOR, pb.GetGeneratorRequest()),
        rpc.get_buyer(OPERATOR, pb.GetBuyerRequest(buyer_id="nobody")),
        rpc.pause_generator(OPERATOR, pb.PauseGeneratorRequest(generator_id="nobody")),
        rpc.resume_generator(OPERATOR, pb.ResumeGeneratorRequest(generator_id="nobody")),
        rpc.pause_buyer(OPERATOR, pb.PauseBuyerRequest(buyer_id="nobody")),
        rpc.resume_buyer(OPERATOR, pb.ResumeBuyerRequest(buyer_id="nobody")),
        rpc.revoke_api_key(OPERATOR, pb.RevokeApiKeyRequest(key_id="nobody")),
        rpc.retry_deliveries(OPERATOR, pb.RetryDeliveriesRequest(buyer_id="nobody")),
    )
    for call in calls:
        with pytest.raises(NotFoundError):
            await call


async def test_pause_and_resume_answer_with_what_now_holds(rpc: AdminRpc) -> None:
    """As often as they are called."""
    for _ in range(2):
        generator = await rpc.pause_generator(
            OPERATOR, pb.PauseGeneratorRequest(generator_id="forms-example")
        )
        buyer = await rpc.pause_buyer(OPERATOR, pb.PauseBuyerRequest(buyer_id="buyer-two"))
        assert (generator.generator.paused, buyer.buyer.paused) == (True, True)
    found = await rpc.get_generator(OPERATOR, pb.GetGeneratorRequest(generator_id="forms-example"))
    assert found.generator.paused
    for _ in range(2):
        resumed = await rpc.resume_generator(
            OPERATOR, pb.ResumeGeneratorRequest(generator_id="forms-example")
        )
        back = await rpc.resume_buyer(OPERATOR, pb.ResumeBuyerRequest(buyer_id="buyer-two"))
        assert (resumed.generator.paused, back.buyer.paused) == (False, False)


async def test_the_secret_of_a_key_is_shown_once(rpc: AdminRpc, ledger: SqlLedger) -> None:
    """In the answer that makes it; every other answer has the public side only."""
    request = pb.CreateApiKeyRequest(role=market_pb2.ROLE_BUYER, subject="buyer-two")
    made = await rpc.create_api_key(OPERATOR, request)
    assert identify(ledger.market, made.secret) == Caller(Role.BUYER, "buyer-two")
    assert made.secret.startswith(f"{made.api_key.key_id}.")
    listed = await rpc.list_api_keys(OPERATOR, pb.ListApiKeysRequest(subject="buyer-two"))
    assert list(listed.api_keys) == [made.api_key]
    assert not made.api_key.HasField("revoke_time")
    ended = await rpc.revoke_api_key(OPERATOR, pb.RevokeApiKeyRequest(key_id=made.api_key.key_id))
    assert ended.api_key.HasField("revoke_time")
    secret = made.secret.rpartition(".")[2]
    assert secret not in f"{made.api_key}{listed}{ended}"


async def test_a_key_needs_a_role_and_somebody_it_is_for(rpc: AdminRpc) -> None:
    """Numbers outside the enumeration are no role either."""
    for role in (0, 9):
        request = pb.CreateApiKeyRequest(role=role)  # type: ignore[arg-type]
        assert await violated(rpc.create_api_key(OPERATOR, request)) == ["role"]
    request = pb.CreateApiKeyRequest(role=market_pb2.ROLE_GENERATOR, subject="buyer-one")
    assert await violated(rpc.create_api_key(OPERATOR, request)) == ["subject"]


async def test_keys_are_filtered_by_role_and_subject(rpc: AdminRpc) -> None:
    """Each filter, none of them, and a filter that is no role."""
    await rpc.create_api_key(OPERATOR, pb.CreateApiKeyRequest(role=market_pb2.ROLE_OPERATOR))
    cases = {
        (market_pb2.ROLE_UNSPECIFIED, ""): 2,
        (market_pb2.ROLE_GENERATOR, ""): 1,
        (market_pb2.ROLE_OPERATOR, ""): 1,
        (market_pb2.ROLE_BUYER, ""): 0,
        (market_pb2.ROLE_UNSPECIFIED, "forms-example"): 1,
        (market_pb2.ROLE_UNSPECIFIED, "nobody"): 0,
    }
    for (role, subject), count in cases.items():
        request = pb.ListApiKeysRequest(role=role, subject=subject)
        assert len((await rpc.list_api_keys(OPERATOR, request)).api_keys) == count
    request = pb.ListApiKeysRequest(role=9, page_size=-1)  # type: ignore[arg-type]
    assert await violated(rpc.list_api_keys(OPERATOR, request)) == ["role", "page_size"]


@pytest.mark.parametrize(
    ("request_", "retried"),
    [
        (pb.RetryDeliveriesRequest(delivery_ids=[delivery_id(LEAD, "buyer-one")]), 1),
        (pb.RetryDeliveriesRequest(delivery_ids=[delivery_id(LEAD, "buyer-two")]), 0),
        (pb.RetryDeliveriesRequest(buyer_id="buyer-one"), 1),
        (pb.RetryDeliveriesRequest(buyer_id="buyer-two"), 0),
        (pb.RetryDeliveriesRequest(buyer_id="buyer-one", reason="SHARE_GONE"), 1),
        (pb.RetryDeliveriesRequest(buyer_id="buyer-one", reason="OTHER"), 0),
        (
            pb.RetryDeliveriesRequest(
                buyer_id="buyer-one", accepted_from=Timestamp(seconds=1 << 33)
            ),
            0,
        ),
    ],
)
async def test_failed_deliveries_are_named_or_described(
    rpc: AdminRpc, ledger: SqlLedger, request_: pb.RetryDeliveriesRequest, retried: int
) -> None:
    """By id, by buyer, by reason and by time; what is meant is on its way again."""
    await submit(ledger)
    failed = "UPDATE deliveries SET state = 6, reason = 'SHARE_GONE', due_time = NULL"
    await ledger.commit(lambda tx: tx.cursor.execute(failed))
    assert (await rpc.retry_deliveries(OPERATOR, request_)).retried == retried
    found = await rpc.get_buyer(OPERATOR, pb.GetBuyerRequest(buyer_id="buyer-one"))
    assert found.buyer.waiting == retried


async def test_every_mistake_of_a_retry_is_listed(rpc: AdminRpc) -> None:
    """Nothing is retried where the request is not clear."""
    assert await violated(rpc.retry_deliveries(OPERATOR, pb.RetryDeliveriesRequest())) == [
        "delivery_ids"
    ]
    request = pb.RetryDeliveriesRequest(
        delivery_ids=["x"] * 501,
        buyer_id="buyer-one",
        reason="lower",
        accepted_from=Timestamp(nanos=-1),
    )
    fields = await violated(rpc.retry_deliveries(OPERATOR, request))
    assert fields[:2] == ["delivery_ids", "delivery_ids[0]"]
    assert fields[501:] == ["buyer_id", "reason", "accepted_from", "reason", "accepted_from"]


async def submit(ledger: SqlLedger) -> None:
    """Stores a lead for buyer-one."""
    submission = Submission(
        lead_id=LEAD,
        generator_id="forms-example",
        request_id="request-1",
        fingerprint=bytes(32),
        person=Person(b"p" * 16, b"e" * 16),
        recipients=(RecipientEvidence("buyer-one", (b"u" * 16,), ()),),
        encoded=b"",
        validate_only=False,
    )
    await ledger.accept([submission])[0]
