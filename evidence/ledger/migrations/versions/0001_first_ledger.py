"""The first ledger: orgs, keys, domains, CDRs, shares, standings and charges."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Makes every table."""
    _make_owners()
    _make_evidence()
    _make_access()


def _make_owners() -> None:
    op.create_table(
        "orgs",
        _number(),
        sa.Column("org_id", sa.Text, nullable=False, unique=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("auto_collect", sa.Boolean, nullable=False),
        _time("create_ms"),
    )
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.Text, primary_key=True),
        sa.Column("secret_digest", sa.LargeBinary, nullable=False),
        sa.Column("org", _NUMBER, sa.ForeignKey("orgs.number"), nullable=False),
        _time("create_ms"),
        _time("revoke_ms", nullable=True),
    )
    op.create_table(
        "domains",
        _number(),
        sa.Column("domain_id", sa.Text, nullable=False, unique=True),
        sa.Column("org", _NUMBER, sa.ForeignKey("orgs.number"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        _time("create_ms"),
        sa.UniqueConstraint("org", "name"),
    )


def _make_evidence() -> None:
    op.create_table(
        "cdrs",
        _number(),
        sa.Column("cdr_id", sa.Text, nullable=False, unique=True),
        sa.Column("domain", _NUMBER, sa.ForeignKey("domains.number"), nullable=False),
        _time("create_ms"),
        _time("capture_ms", nullable=True),
        sa.Column("package_id", sa.Text, nullable=False),
        sa.Column("sub_group_ids", sa.Text, nullable=False),
        sa.Column("custom", sa.Text, nullable=False),
        sa.Column("disclosures", sa.Text, nullable=False),
        _time("invalidate_ms", nullable=True),
    )
    op.create_index("cdrs_by_domain", "cdrs", ["domain", "number"])
    op.create_table(
        "shares",
        _number(),
        sa.Column("token_digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("cdr", _NUMBER, sa.ForeignKey("cdrs.number"), nullable=False),
        sa.Column("org", _NUMBER, sa.ForeignKey("orgs.number"), nullable=False),
        _time("create_ms"),
        _time("expire_ms"),
    )


def _make_access() -> None:
    op.create_table(
        "standings",
        sa.Column("org", _NUMBER, sa.ForeignKey("orgs.number"), primary_key=True),
        sa.Column("cdr", _NUMBER, sa.ForeignKey("cdrs.number"), primary_key=True),
        sa.Column("owner", sa.Boolean, nullable=False),
        sa.Column("basis", sa.SmallInteger, nullable=False),
        sa.Column("event_id", sa.Text),
        _time("update_ms"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "charges",
        sa.Column("org", _NUMBER, sa.ForeignKey("orgs.number"), primary_key=True),
        sa.Column("cdr", _NUMBER, sa.ForeignKey("cdrs.number"), primary_key=True),
        sa.Column("reason", sa.Text, nullable=False),
        _time("charge_ms"),
        sqlite_with_rowid=False,
    )


def _number() -> sa.Column[int]:
    return sa.Column("number", _NUMBER, primary_key=True)


def _time(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=nullable)
