"""Tables of the ledger.

Rows are lean: integer keys, one copy of each submission, and the deliveries
themselves as outbox through a partial index on `due_time`. Times are whole
microseconds since 1970 in UTC. Statements bind plain integers, text and bytes.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    and_,
)

from gateway.delivery import State

metadata = MetaData()

# SQLite counts up a key only where its type is exactly INTEGER.
_Key = BigInteger().with_variant(Integer, "sqlite")


generators = Table(
    "generators",
    metadata,
    Column("generator_key", _Key, primary_key=True),
    Column("generator_id", Text, nullable=False, unique=True),
    Column("paused", Boolean, nullable=False),
)

buyers = Table(
    "buyers",
    metadata,
    Column("buyer_key", _Key, primary_key=True),
    Column("buyer_id", Text, nullable=False, unique=True),
    Column("transport", Text, nullable=False),
    Column("encoding", Text, nullable=False),
    Column("paused", Boolean, nullable=False),
    # A JSON list of generator ids, or ["*"].
    Column("accepts", Text, nullable=False),
)

evidence_hosts = Table(
    "evidence_hosts",
    metadata,
    Column("authority", Text, primary_key=True),
    # CIDR, separated by spaces.
    Column("networks", Text, nullable=False),
    Column("insecure", Boolean, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False),
    Column("role", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("revoke_time", BigInteger),
)

leads = Table(
    "leads",
    metadata,
    Column("lead_key", _Key, primary_key=True),
    # The 16 bytes of a UUIDv7: close to the order of arrival, so the index grows at its end.
    Column("lead_id", LargeBinary, nullable=False),
    Column("generator_key", ForeignKey("generators.generator_key"), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("accept_time", BigInteger, nullable=False),
    # A serialised leadgate.v1.SubmitLeadRequest with phone and email normalised.
    Column("submission", LargeBinary, nullable=False),
    Index("leads_by_id", "lead_id", unique=True),
    Index("leads_by_request", "generator_key", "request_id", unique=True),
    Index("leads_by_generator", "generator_key", "lead_key"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("lead_key", ForeignKey("leads.lead_key"), primary_key=True),
    Column("buyer_key", ForeignKey("buyers.buyer_key"), primary_key=True),
    # Place among the recipients of the submission, from 0.
    Column("position", SmallInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    # The outbox: set = to be sent then, whatever the state. While leased, the lease's end.
    Column("due_time", BigInteger),
    # The stream that holds, or last held, the delivery; a hand-out of a row that has one
    # is a new attempt.
    Column("lease", BigInteger),
    # Whether the next sending is a replay.
    Column("replay", Boolean, nullable=False),
    Column("reason", Text),
    Column("update_time", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index(
    "deliveries_due",
    deliveries.c.buyer_key,
    deliveries.c.due_time,
    deliveries.c.lead_key,
    sqlite_where=deliveries.c.due_time.is_not(None),
    postgresql_where=deliveries.c.due_time.is_not(None),
)
Index("deliveries_by_buyer", deliveries.c.buyer_key, deliveries.c.lead_key)
Index(
    "deliveries_leased",
    deliveries.c.lease,
    sqlite_where=deliveries.c.lease.is_not(None),
    postgresql_where=deliveries.c.lease.is_not(None),
)
Index(
    "deliveries_failed",
    deliveries.c.buyer_key,
    deliveries.c.lead_key,
    sqlite_where=deliveries.c.state == State.FAILED.value,
    postgresql_where=deliveries.c.state == State.FAILED.value,
)

# Deliveries that began without evidence. A row stays as the fact that its delivery did;
# apart from the deliveries, so that those without a hold pay nothing for it.
holds = Table(
    "holds",
    metadata,
    Column("lead_key", BigInteger, primary_key=True),
    Column("buyer_key", BigInteger, primary_key=True),
    # When the delivery is refused for want of evidence; null once the hold has ended.
    Column("deadline", BigInteger),
    sqlite_with_rowid=False,
)
Index(
    "holds_open",
    holds.c.deadline,
    sqlite_where=holds.c.deadline.is_not(None),
    postgresql_where=holds.c.deadline.is_not(None),
)

receipts = Table(
    "receipts",
    metadata,
    Column("lead_key", BigInteger, primary_key=True),
    Column("buyer_key", BigInteger, primary_key=True),
    Column("cdr_id", Text, primary_key=True),
    Column("status", SmallInteger, nullable=False),
    # A serialised leadgate.v1.Receipt.
    Column("receipt", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    # Rises in the order of commits: one connection writes, and no event is ever deleted.
    Column("event_key", _Key, primary_key=True),
    Column("lead_key", ForeignKey("leads.lead_key"), nullable=False),
    # Null: the submission itself, one event (ACCEPTED or REJECTED) for each delivery.
    Column("buyer_key", BigInteger),
    Column("generator_key", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    # The state the event left the delivery in.
    Column("state", SmallInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("event_time", BigInteger, nullable=False),
    Column("reason", Text),
    Column("partition", Integer),
    Column("offset", BigInteger),
    Column("due_time", BigInteger),
    # A serialised leadgate.v1.DeliveryEvent that holds the receipts of a CLAIMED event.
    Column("receipts", LargeBinary),
    Index("events_by_lead", "lead_key", "event_key"),
    Index("events_by_generator", "generator_key", "event_key"),
)

THE_HOLD = and_(
    holds.c.lead_key == deliveries.c.lead_key, holds.c.buyer_key == deliveries.c.buyer_key
)
"""What joins a delivery with the hold it began with, if it began with one."""

# Which evidence was accepted for which person: by it the reuse of a CDR is found. Kept
# apart from the leads, so that it outlives them and grows only with new pairs.
evidence_uses = Table(
    "evidence_uses",
    metadata,
    # 16 bytes of SHA-256 over the kind of evidence and its id or share token.
    Column("evidence", LargeBinary, primary_key=True),
    # 16 bytes of HMAC-SHA256, or empty where the lead has none.
    Column("phone", LargeBinary, primary_key=True),
    Column("email", LargeBinary, primary_key=True),
    sqlite_with_rowid=False,
)
