"""The vault: one signing key in use, secrets that stay, files for their owner alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from evidence.signing import Vault, VaultError
from leadgate.evidence_export import CUSTODY_HEAD, MANIFEST, key_id_of


def test_secrets_are_the_same_at_the_next_start(tmp_path: Path) -> None:
    """Keys for two purposes differ; another vault has others."""
    vault, again = Vault(tmp_path / "a"), Vault(tmp_path / "a")
    assert again.signer.key_id == vault.signer.key_id
    assert again.derived("links") == vault.derived("links") != vault.derived("tokens")
    assert Vault(tmp_path / "b").derived("links") != vault.derived("links")


def test_a_key_is_named_by_itself(tmp_path: Path) -> None:
    """No other key can take its id."""
    signer = Vault(tmp_path).signer
    assert signer.key_id == key_id_of(signer.public_key)


def test_a_signature_of_one_kind_is_none_of_another(tmp_path: Path) -> None:
    """A signed manifest cannot pass for a signed custody log."""
    signer = Vault(tmp_path).signer
    public = Ed25519PublicKey.from_public_bytes(signer.public_key)
    signature = signer.sign_manifest(bytes(32))
    public.verify(signature, MANIFEST + bytes(32))
    with pytest.raises(InvalidSignature):
        public.verify(signature, CUSTODY_HEAD + bytes(32))


def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """Folder and files."""
    Vault(tmp_path / "keys")
    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "keys").iterdir())


def test_a_folder_that_cannot_be_used_is_a_clear_refusal(tmp_path: Path) -> None:
    """It names the folder and the setting."""
    (tmp_path / "file").touch()
    with pytest.raises(VaultError, match="LEADGATE_EVIDENCE_KEYS"):
        Vault(tmp_path / "file")


def test_a_rotation_is_used_only_once_it_is_said(tmp_path: Path) -> None:
    """Until then the old key signs; afterwards it is gone from the disk."""
    vault = Vault(tmp_path)
    old = vault.signer
    new = vault.successor()
    assert vault.signer is old
    vault.use(new)
    assert vault.signer is new
    assert Vault(tmp_path).signer.key_id == new.key_id
    assert [file.stem for file in tmp_path.glob("*.ed25519")] == [new.key_id]
