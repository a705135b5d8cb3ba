"""Ed25519 signatures of manifests and custody heads, and the root of all other secrets.

The private keys are files in one folder, apart from the ledger: whoever can write to
the database alone can break the custody log, but cannot sign it anew. A key's id is
taken from its public key, so that it cannot be given to another. Public keys stay in
the ledger and are published for good; a rotation deletes the private key it retires.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from leadgate.evidence_export import CUSTODY_HEAD, MANIFEST, key_id_of
from leadgate.process import ExitCode, Refusal

_ROOT = "root.key"
_SUFFIX = ".ed25519"


_SETTING = "LEADGATE_EVIDENCE_KEYS"


class VaultError(Refusal):
    """The folder of secrets cannot be read or written."""

    exit_code = ExitCode.SETTINGS


class Signer:
    """Signs with one key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.key_id = key_id_of(self.public_key)

    def sign_manifest(self, sha256: bytes) -> bytes:
        """Signs the hash of a manifest; 64 bytes."""
        return self._private.sign(MANIFEST + sha256)

    def sign_head(self, head: bytes) -> bytes:
        """Signs the newest hash of a custody log, and with it the whole log."""
        return self._private.sign(CUSTODY_HEAD + head)

    def sign_export(self, label: bytes, sha256: bytes) -> bytes:
        """Signs the hash of an export."""
        return self._private.sign(label + sha256)


class Vault:
    """The folder of secrets: the signing key in use, and keys derived from one root.

    Lost, it is made anew, and costs no evidence: what was signed still verifies with
    the published keys, but links under way and the answers to repeated uploads end.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._root = _read_or_make(folder / _ROOT, lambda: secrets.token_bytes(32))
            self.signer = self._newest() or self._made()
        except OSError as error:
            raise VaultError(f"{folder}: {error.strerror}; name another in {_SETTING}") from None

    def derived(self, purpose: str) -> bytes:
        """A key of 32 bytes for one purpose; the same at every start."""
        return hmac.digest(self._root, purpose.encode(), "sha256")

    def successor(self) -> Signer:
        """Makes the next signing key, on disk when this returns, without using it yet."""
        return self._made()

    def use(self, signer: Signer) -> None:
        """Signs with this key from now on, and deletes the private keys before it."""
        self.signer = signer
        for file in self._folder.glob(f"*{_SUFFIX}"):
            if file.stem != signer.key_id:
                file.unlink()

    def _newest(self) -> Signer | None:
        files = sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda file: file.stat().st_mtime_ns)
        if not files:
            return None
        return Signer(Ed25519PrivateKey.from_private_bytes(files[-1].read_bytes()))

    def _made(self) -> Signer:
        private = Ed25519PrivateKey.generate()
        signer = Signer(private)
        raw = private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        _write(self._folder / f"{signer.key_id}{_SUFFIX}", raw)
        return signer


def jwk(public_key: bytes) -> Mapping[str, Any]:
    """A public key as a JSON Web Key (RFC 8037)."""
    x = base64.urlsafe_b64encode(public_key).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": key_id_of(public_key), "x": x}


def fingerprint(public_key: bytes) -> str:
    """SHA-256 of a public key, for people to compare."""
    return hashlib.sha256(public_key).hexdigest()


def _read_or_make(file: Path, make: Any) -> bytes:
    if not file.exists():
        _write(file, make())
    return file.read_bytes()


def _write(file: Path, secret: bytes) -> None:
    """Writes a secret for its owner's eyes, whole or not at all."""
    draft = file.with_suffix(".draft")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(secret)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
