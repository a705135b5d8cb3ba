"""Tables of the evidence ledger.

Rows refer to each other by an integer `number`; callers know orgs, domains, CDRs and
packages by an id. Times are Unix milliseconds (`…_ms`), sizes bytes. Columns named
JSON hold compact JSON text. SQL here and in the modules beside it is what SQLite and
PostgreSQL have in common.

    orgs ─ api_keys · client_ids · webhook_endpoints ─ webhook_secrets
      └─ domains ─ cdrs ─ standings · charges · shares            who sees, who pays
                    ├─ package_cdrs ─ packages ─ package_shares   sessions and sub-groups
                    ├─ metadata_index                             search on any key
                    ├─ artifacts · manifests · custody            integrity
                    └─ jobs · webhook_deliveries                  work that waits
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
    text,
)

metadata = MetaData()

# SQLite counts up a key only where its type is exactly INTEGER.
_Number = BigInteger().with_variant(Integer, "sqlite")


def _number() -> Column[int]:
    return Column("number", _Number, primary_key=True)


def _to(name: str, target: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, ForeignKey(f"{target}.number"), nullable=nullable)


def _in_key(name: str, target: str) -> Column[int]:
    return Column(name, ForeignKey(f"{target}.number"), primary_key=True)


def _time(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _text(name: str, default: str | None = None) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


orgs = Table(
    "orgs",
    metadata,
    _number(),
    Column("org_id", Text, nullable=False, unique=True),
    _text("name"),
    Column("auto_collect", Boolean, nullable=False),
    # Refuses uploads with CAPTURE_DISABLED.
    Column("capture_disabled", Boolean, nullable=False, server_default=text("false")),
    # How long new CDRs are kept; NULL is the service's default of 5 years.
    Column("retention_days", Integer),
    _time("create_ms"),
)
"""Who owns, shares and buys evidence, with its settings."""

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("secret_digest", LargeBinary, nullable=False),
    _to("org", "orgs"),
    _time("create_ms"),
    _time("revoke_ms", nullable=True),
)
"""API keys of orgs: SHA-256 of the secret only."""

client_ids = Table(
    "client_ids",
    metadata,
    Column("client_id", Text, primary_key=True),
    _to("org", "orgs"),
    # Where set, the client id is good for this domain alone.
    _to("domain", "domains", nullable=True),
    _time("create_ms"),
    _time("disable_ms", nullable=True),
)
"""What a page's script tag names its org by (`data-ec-cid`). It is public, no credential."""

domains = Table(
    "domains",
    metadata,
    _number(),
    Column("domain_id", Text, nullable=False, unique=True),
    _to("org", "orgs"),
    _text("name"),
    _time("create_ms"),
    UniqueConstraint("org", "name"),
)
"""Web sites whose forms an org captures; a name is lower case, without scheme or port."""

cdrs = Table(
    "cdrs",
    metadata,
    _number(),
    Column("cdr_id", Text, nullable=False, unique=True),
    # The domain's org again: a capture id is unique within an org.
    _to("org", "orgs"),
    _to("domain", "domains"),
    # The session's package; sub-group packages are in `package_cdrs`.
    _to("package", "packages"),
    # Made by the browser, so that a repeated upload lands once. NULL: made over the admin API.
    Column("capture_id", Text),
    # SHA-256 of the upload as sent: a repeat has the same.
    Column("upload_sha256", LargeBinary),
    # Server-observed: when the upload was received, from where, and by what.
    _time("create_ms"),
    Column("ip", Text),
    Column("user_agent", Text),
    # Browser-reported.
    _time("capture_ms", nullable=True),
    # Whether the browser said that an earlier upload had failed.
    Column("late", Boolean, nullable=False, server_default=text("false")),
    Column("url", Text),
    Column("title", Text),
    # JSON objects and lists. `browser` is whatever else the browser said of itself,
    # `disclosure_claims` {key: bool} of the page's script, `disclosure_flags` where
    # that differs from what the server has derived from the snapshot.
    _text("browser", "{}"),
    _text("sub_group_ids"),
    _text("custom"),
    _text("disclosures"),
    _text("disclosure_claims", "{}"),
    _text("disclosure_flags", "[]"),
    # none, pending, ready or failed; a code where failed.
    _text("image_state", "none"),
    _text("report_state", "none"),
    Column("image_error", Text),
    _time("complete_ms", nullable=True),
    _time("invalidate_ms", nullable=True),
    # Retention: deleted after `retain_until_ms` unless held; `purge_ms` says that it was.
    _time("retain_until_ms", nullable=True),
    _time("hold_ms", nullable=True),
    Column("hold_reason", Text),
    _time("purge_ms", nullable=True),
    UniqueConstraint("org", "capture_id"),
)
"""Consent Data Records. Rows stay when their content is purged, for the chain and the bills."""

packages = Table(
    "packages",
    metadata,
    _number(),
    Column("package_id", Text, nullable=False, unique=True),
    _to("org", "orgs"),
    _text("session_id"),
    # '' is the session's own package; else its name, which is for the owner's eyes only.
    _text("sub_group", ""),
    _time("create_ms"),
    UniqueConstraint("org", "session_id", "sub_group"),
)
"""CDRs that belong together: those of one browser tab, or of one sub-group of it."""

package_cdrs = Table(
    "package_cdrs",
    metadata,
    _in_key("package", "packages"),
    _in_key("cdr", "cdrs"),
    sqlite_with_rowid=False,
)
"""Which CDRs are in a package, oldest first by number."""

shares = Table(
    "shares",
    metadata,
    _number(),
    Column("token_digest", LargeBinary, nullable=False, unique=True),
    _to("cdr", "cdrs"),
    _to("org", "orgs"),
    _time("create_ms"),
    _time("expire_ms"),
)
"""Share URLs of one CDR: SHA-256 of the token only."""

package_shares = Table(
    "package_shares",
    metadata,
    _number(),
    Column("token_digest", LargeBinary, nullable=False, unique=True),
    _to("package", "packages"),
    _to("org", "orgs"),
    # Whether a session package of several sub-groups was shared by name all the same.
    Column("forced", Boolean, nullable=False),
    _time("create_ms"),
    _time("expire_ms"),
)
"""Share URLs of a whole package. Tokens are looked for here where `shares` has none."""

package_share_cdrs = Table(
    "package_share_cdrs",
    metadata,
    _in_key("share", "package_shares"),
    _in_key("cdr", "cdrs"),
    sqlite_with_rowid=False,
)
"""The CDRs that a package share hands over: fixed when it was made."""

standings = Table(
    "standings",
    metadata,
    _in_key("org", "orgs"),
    _in_key("cdr", "cdrs"),
    # The CDR's domain again: an org lists what it has of one domain.
    _to("domain", "domains"),
    Column("owner", Boolean, nullable=False),
    Column("basis", SmallInteger, nullable=False),
    Column("event_id", Text),
    _time("update_ms"),
    sqlite_with_rowid=False,
)
"""What an org has to do with a CDR: see `evidence.access.Standing`."""

charges = Table(
    "charges",
    metadata,
    _in_key("org", "orgs"),
    _in_key("cdr", "cdrs"),
    # capture, claim or collect.
    _text("reason"),
    _time("charge_ms"),
    sqlite_with_rowid=False,
)
"""The billing ledger. Its primary key keeps an org from being billed twice for a CDR."""

metadata_index = Table(
    "metadata_index",
    metadata,
    _in_key("domain", "domains"),
    # `evidence.metadata.pair_digest` or `key_digest`: a signed 64-bit integer.
    Column("digest", BigInteger, primary_key=True, autoincrement=False),
    _in_key("cdr", "cdrs"),
    sqlite_with_rowid=False,
)
"""Custom metadata for look-up: a domain's CDRs by key and value, or by key, in order."""

artifacts = Table(
    "artifacts",
    metadata,
    _in_key("cdr", "cdrs"),
    # capture (the upload as received), image or report.
    Column("name", Text, primary_key=True),
    # Of the bytes a reader gets, after any decompression.
    Column("sha256", LargeBinary, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    _text("media_type"),
    _text("blob_key"),
    # How the blob is compressed: '' or gzip.
    _text("encoding", ""),
    _time("create_ms"),
    sqlite_with_rowid=False,
)
"""What is in the blob store for a CDR."""

manifests = Table(
    "manifests",
    metadata,
    _in_key("cdr", "cdrs"),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    # Canonical JSON, see `evidence.manifest`.
    _text("body"),
    Column("sha256", LargeBinary, nullable=False),
    _text("key_id"),
    Column("signature", LargeBinary, nullable=False),
    _time("create_ms"),
)
"""Signed lists of what a CDR consists of: a new revision for each new artifact."""

custody = Table(
    "custody",
    metadata,
    _in_key("cdr", "cdrs"),
    # From 1, without a gap.
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    # captured, rendered, shared, claimed, collected, downloaded, invalidated, …
    _text("event"),
    _time("at_ms"),
    # JSON: who and what. In the chain by its salted hash, so that it can be left out of
    # what another org is shown, and erased with the CDR.
    Column("detail", Text),
    Column("salt", LargeBinary),
    Column("detail_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    _text("key_id"),
    Column("signature", LargeBinary, nullable=False),
    # Whose deed it was; NULL: the service's own.
    _to("org", "orgs", nullable=True),
)
"""The custody log, only ever appended to: each row's hash covers the one before it."""

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("public_key", LargeBinary, nullable=False),
    _time("create_ms"),
    _time("retire_ms", nullable=True),
)
"""Ed25519 public keys, published for good; the private ones are in files, not here."""

jobs = Table(
    "jobs",
    metadata,
    _number(),
    # render, report, webhook, …
    _text("kind"),
    _to("cdr", "cdrs", nullable=True),
    # JSON.
    _text("payload", "{}"),
    # At most one job of a kind has it, for ever.
    _text("dedupe"),
    # waiting, running, done or failed.
    _text("state"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    # When it is to be run; while it runs, the end of its lease. NULL: never again.
    _time("due_ms", nullable=True),
    # A code, never a message: those may hold what a page said.
    Column("error", Text),
    _time("create_ms"),
    _time("finish_ms", nullable=True),
    UniqueConstraint("kind", "dedupe"),
)
"""The durable queue: `due_ms` is all of it, a crash leaves a lease that ends."""

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    _in_key("org", "orgs"),
    # '' after it was cleared: nothing new is sent, what is queued still goes to its own URL.
    _text("url"),
    _time("update_ms"),
)
"""Where an org wants its events."""

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    _number(),
    _to("org", "orgs"),
    # It signs, so it is kept as it is.
    Column("secret", LargeBinary, nullable=False),
    _time("create_ms"),
    # Signs beside its successor until then; NULL: the newest.
    _time("expire_ms", nullable=True),
)
"""Signing secrets of webhooks; two of them are good during a rotation."""

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    _number(),
    Column("webhook_id", Text, nullable=False, unique=True),
    _to("org", "orgs"),
    _to("cdr", "cdrs"),
    _text("event"),
    _text("url"),
    # waiting, delivered or failed.
    _text("state"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _time("create_ms"),
    _time("finish_ms", nullable=True),
    UniqueConstraint("org", "cdr", "event"),
)
"""Events to send: one for each org and CDR; a job of kind `webhook` carries it."""

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    _in_key("delivery", "webhook_deliveries"),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    _time("at_ms"),
    Column("duration_ms", Integer, nullable=False),
    # The HTTP status, or NULL with a code in `error`.
    Column("status", Integer),
    Column("error", Text),
)
"""The delivery log."""

sign_ins = Table(
    "sign_ins",
    metadata,
    # SHA-256 of the cookie's value.
    Column("token_digest", LargeBinary, primary_key=True),
    _to("org", "orgs"),
    # Revoking the key ends its sign-ins.
    Column("key_id", ForeignKey("api_keys.key_id"), nullable=False),
    _time("create_ms"),
    _time("expire_ms"),
)
"""Browser sessions of people who signed in with an API key."""

Index("domains_by_name", domains.c.name)
Index(
    "cdrs_by_retention",
    cdrs.c.retain_until_ms,
    sqlite_where=cdrs.c.purge_ms.is_(None),
    postgresql_where=cdrs.c.purge_ms.is_(None),
)
Index("packages_of_cdr", package_cdrs.c.cdr, package_cdrs.c.package)
Index("standings_of_cdr", standings.c.cdr)
Index("standings_by_domain", standings.c.org, standings.c.domain, standings.c.cdr)
Index(
    "jobs_by_due",
    jobs.c.kind,
    jobs.c.due_ms,
    sqlite_where=jobs.c.due_ms.is_not(None),
    postgresql_where=jobs.c.due_ms.is_not(None),
)
Index("jobs_of_cdr", jobs.c.cdr)
Index("charges_by_time", charges.c.charge_ms)
Index("webhook_deliveries_of_org", webhook_deliveries.c.org, webhook_deliveries.c.number)
