"""Maildir delivery is durable, whole, and the same when repeated."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from gateway.core.retry import SendResult
from gateway.edge.maildir_out import MaildirOut
from tests.edge.faults import FaultyDisk

pytestmark = pytest.mark.asyncio

RAW = b"From: a@acme.example\r\n\r\n.\r\nbody\r\n"
NAME = "42.mailwicket"


def files(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


async def test_a_mail_arrives_in_new_below_its_envelope(tmp_path: Path) -> None:
    """Return-Path and Delivered-To, then the given bytes and nothing else; tmp/ is left empty."""
    async with MaildirOut(tmp_path / "out") as sender:
        result = await sender.send("b-1@reply.acme.example", "kunde@example.org", RAW, "42")
    assert result == SendResult("sent", f"250 2.0.0 {NAME}")
    head = b"Return-Path: <b-1@reply.acme.example>\r\nDelivered-To: kunde@example.org\r\n"
    assert files(tmp_path / "out") == {f"new/{NAME}": head + RAW}


async def test_the_null_reverse_path_is_written_as_such(tmp_path: Path) -> None:
    await MaildirOut(tmp_path).send("", "kunde@example.org", RAW, "42")
    assert (tmp_path / "new" / NAME).read_bytes().startswith(b"Return-Path: <>\r\n")


async def test_sending_again_does_not_double(tmp_path: Path) -> None:
    """Neither while the mail is new nor after a reader took it to cur/."""
    sender = MaildirOut(tmp_path)
    await sender.send("", "kunde@example.org", b"old", "42")
    await sender.send("", "kunde@example.org", RAW, "42")
    assert list(files(tmp_path)) == [f"new/{NAME}"]
    assert (tmp_path / "new" / NAME).read_bytes().endswith(RAW)
    (tmp_path / "new" / NAME).rename(tmp_path / "cur" / f"{NAME}:2,S")
    assert (await sender.send("", "kunde@example.org", RAW, "42")).outcome == "sent"
    assert list(files(tmp_path)) == [f"cur/{NAME}:2,S"]


@pytest.mark.parametrize("name", ["", "../42", "a/b", "a:b", ".42", "42\n"])
async def test_a_name_cannot_leave_the_maildir(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="file name"):
        await MaildirOut(tmp_path).send("", "kunde@example.org", RAW, name)
    assert files(tmp_path) == {}


@pytest.mark.parametrize("address", ["a@b\r\nBcc: c@d.example", "kunde", "<a@b.example>", ""])
async def test_a_bad_recipient_writes_nothing(tmp_path: Path, address: str) -> None:
    assert (await MaildirOut(tmp_path).send("", address, RAW, "42")).outcome == "failed"
    assert files(tmp_path) == {}


@pytest.mark.parametrize("step", ["create", "write", "fsync", "replace", "fsync_dir"])
async def test_a_full_disk_defers_and_the_next_attempt_succeeds(tmp_path: Path, step: str) -> None:
    MaildirOut(tmp_path)
    disk = FaultyDisk(OSError(errno.ENOSPC, "injected"), only=step)
    sender = MaildirOut(tmp_path, disk)
    result = await sender.send("", "kunde@example.org", RAW, "42")
    assert result == SendResult("deferred", "452 4.3.1 Insufficient system storage")
    disk.error = None
    assert (await sender.send("", "kunde@example.org", RAW, "42")).outcome == "sent"
    assert list(files(tmp_path)) == [f"new/{NAME}"]
