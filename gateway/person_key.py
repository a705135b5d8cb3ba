"""The key that phones and emails are looked up under, kept outside the ledger."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from pydantic import SecretStr


def person_key(configured: SecretStr | None, database: Path) -> bytes:
    """The configured key, or the one beside the database, made on first use.

    The file is readable by its owner alone. Without the key the ledger does not tell
    whose leads it holds; with another key it no longer finds a CDR's reuse.
    """
    if configured is not None:
        return configured.get_secret_value().encode()
    file = Path(f"{database}.person-key")
    try:
        # Written whole under another name first: a crash must not leave half a key.
        fresh = file.with_name(f"{file.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as output:
            output.write(secrets.token_hex(32))
            output.flush()
            os.fsync(output.fileno())
        os.link(fresh, file)
    except FileExistsError:
        pass
    finally:
        fresh.unlink(missing_ok=True)
    return file.read_text().strip().encode()
