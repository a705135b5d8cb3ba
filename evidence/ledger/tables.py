"""Tables of the evidence ledger.

Orgs, domains, CDRs and shares have an integer `number` that rows refer to, and orgs,
domains and CDRs an id for callers. Times are Unix milliseconds. What an org has to do
with a CDR is one row of `standings`, and what it was billed one row of `charges`,
whose primary key keeps it from being billed twice.
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
    UniqueConstraint,
)

metadata = MetaData()

# SQLite counts up a key only where its type is exactly INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")

orgs = Table(
    "orgs",
    metadata,
    Column("number", _Number, primary_key=True),
    Column("org_id", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("auto_collect", Boolean, nullable=False),
    Column("create_ms", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("secret_digest", LargeBinary, nullable=False),
    Column("org", ForeignKey("orgs.number"), nullable=False),
    Column("create_ms", BigInteger, nullable=False),
    Column("revoke_ms", BigInteger),
)

domains = Table(
    "domains",
    metadata,
    Column("number", _Number, primary_key=True),
    Column("domain_id", Text, nullable=False, unique=True),
    Column("org", ForeignKey("orgs.number"), nullable=False),
    Column("name", Text, nullable=False),
    Column("create_ms", BigInteger, nullable=False),
    UniqueConstraint("org", "name"),
)

cdrs = Table(
    "cdrs",
    metadata,
    Column("number", _Number, primary_key=True),
    Column("cdr_id", Text, nullable=False, unique=True),
    Column("domain", ForeignKey("domains.number"), nullable=False),
    Column("create_ms", BigInteger, nullable=False),
    Column("capture_ms", BigInteger),
    Column("package_id", Text, nullable=False),
    # JSON: a list of strings, an object, a list of {key, language, agreed}.
    Column("sub_group_ids", Text, nullable=False),
    Column("custom", Text, nullable=False),
    Column("disclosures", Text, nullable=False),
    Column("invalidate_ms", BigInteger),
)

shares = Table(
    "shares",
    metadata,
    Column("number", _Number, primary_key=True),
    Column("token_digest", LargeBinary, nullable=False, unique=True),
    Column("cdr", ForeignKey("cdrs.number"), nullable=False),
    Column("org", ForeignKey("orgs.number"), nullable=False),
    Column("create_ms", BigInteger, nullable=False),
    Column("expire_ms", BigInteger, nullable=False),
)

standings = Table(
    "standings",
    metadata,
    Column("org", ForeignKey("orgs.number"), primary_key=True),
    Column("cdr", ForeignKey("cdrs.number"), primary_key=True),
    Column("owner", Boolean, nullable=False),
    Column("basis", SmallInteger, nullable=False),
    Column("event_id", Text),
    Column("update_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

charges = Table(
    "charges",
    metadata,
    Column("org", ForeignKey("orgs.number"), primary_key=True),
    Column("cdr", ForeignKey("cdrs.number"), primary_key=True),
    # capture, claim or collect.
    Column("reason", Text, nullable=False),
    Column("charge_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

Index("cdrs_by_domain", cdrs.c.domain, cdrs.c.number)
