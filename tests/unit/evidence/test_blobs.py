"""Blobs: kept and found again, in a folder and over the S3 API, and nowhere else."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.blobs import (
    BlobMissing,
    BlobStoreError,
    FolderBlobs,
    S3Blobs,
    blobs_at,
    content_of,
    key_for,
)

KEY = key_for("cdr_1", "image", bytes(32))


async def test_a_blob_is_kept_and_found_again(tmp_path: Path) -> None:
    """By another process, too; putting it twice is no error."""
    blobs = FolderBlobs(tmp_path / "blobs")
    for _ in range(2):
        await blobs.put(KEY, b"content")
    assert await FolderBlobs(tmp_path / "blobs").get(KEY) == b"content"


async def test_a_blob_that_is_gone_is_missing(tmp_path: Path) -> None:
    """Never there, or deleted; to delete it again is no error."""
    blobs = FolderBlobs(tmp_path)
    await blobs.put(KEY, b"content")
    for _ in range(2):
        await blobs.delete(KEY)
        with pytest.raises(BlobMissing):
            await blobs.get(KEY)


async def test_a_blob_is_synced_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file, its folder, and the folder above where that is new."""
    synced: list[Path] = []
    monkeypatch.setattr("evidence.blobs._sync", synced.append)
    await FolderBlobs(tmp_path).put(KEY, b"content")
    assert synced == [tmp_path / KEY, (tmp_path / KEY).parent, tmp_path]


@given(st.text(), st.binary(min_size=32, max_size=32))
def test_no_id_leads_out_of_the_folder(owner: str, sha256: bytes) -> None:
    """Keys are made of hashes, so `..`, slashes and NULs have nowhere to go."""
    key = key_for(owner, "image", sha256)
    assert key.count("/") == 1
    assert set(key.replace("/", "").replace("-image-", "")) <= set("0123456789abcdef")


def test_the_content_of_a_blob_is_what_was_sent() -> None:
    """Unpacked where it is packed."""
    assert content_of(gzip.compress(b"content"), "gzip") == b"content"
    assert content_of(b"content", "") == b"content"


def test_the_place_says_which_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, or a bucket with or without a prefix; anything else is refused by name."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert isinstance(blobs_at(str(tmp_path)), FolderBlobs)
    assert isinstance(blobs_at("s3://bucket/prefix/"), S3Blobs)
    assert isinstance(blobs_at("s3://bucket"), S3Blobs)
    (tmp_path / "file").touch()
    for place in (str(tmp_path / "file"), "s3://", "s3://Bucket", "s3://bucket?x=1"):
        with pytest.raises(BlobStoreError):
            blobs_at(place)
