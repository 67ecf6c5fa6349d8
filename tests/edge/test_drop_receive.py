"""The drop folder: everything ends in the spool or in bad/, and nothing is lost on the way."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from pathlib import Path

import pytest

from gateway.edge.drop_receive import DropFolder
from gateway.edge.durable import DISK, Disk
from gateway.edge.spool import Spool
from gateway.edge.spool_in import BUFFER
from tests.edge.door import OURS, stored
from tests.edge.faults import FaultyDisk

RAW = b"Return-Path: <a@kunde.example>\nTo: support@acme.example\nSubject: x\n\nhello\n"


def _folder(root: Path, disk: Disk = DISK, max_size: int = 10_000_000) -> DropFolder:
    spool = Spool(root / "spool", disk)
    default = "billing@acme.example"
    return DropFolder(root / "drop", spool, knows=OURS.__contains__, default=default, max_size=max_size)


def _drop(root: Path, name: str, raw: bytes) -> Path:
    path = root / "drop" / "new" / name
    path.write_bytes(raw)
    return path


def _names(root: Path, directory: str) -> list[str]:
    return sorted(path.name for path in (root / "drop" / directory).iterdir())


@pytest.mark.parametrize("raw", [RAW, RAW + b"\x00\xff\r" * BUFFER], ids=["small", "large"])
def test_a_file_is_spooled_byte_for_byte_and_marked_seen(tmp_path: Path, raw: bytes) -> None:
    folder = _folder(tmp_path)
    _drop(tmp_path, "1.host", raw)
    assert folder.poll() == []
    (spool_id,) = folder.poll()
    ((envelope, found),) = stored(tmp_path / "spool")
    assert (envelope.channel, envelope.mail_from, found) == ("drop", "a@kunde.example", raw)
    assert Spool(tmp_path / "spool").waiting() == [spool_id]
    assert (_names(tmp_path, "new"), _names(tmp_path, "cur")) == ([], ["1.host:2,S"])
    assert folder.poll() == []


HEADERS = {
    b"Return-Path: <>\nFrom: a@kunde.example": (None, ("billing@acme.example",)),
    b"From: Anna <a@kunde.example>": ("a@kunde.example", ("billing@acme.example",)),
    b"From: a@kunde.example, b@kunde.example": (None, ("billing@acme.example",)),
    b"Return-Path: <=?utf-8?q?a?=@b>\nFrom: c@kunde.example": ("c@kunde.example", ("billing@acme.example",)),
    b"Delivered-To: T-1@Reply.acme.example\nTo: support@acme.example": (
        None,
        ("t-1@reply.acme.example", "support@acme.example"),
    ),
    b"X-Original-To: support@acme.example\nTo: x@elsewhere.example": (None, ("support@acme.example",)),
    b'to: "Us, all" <support@acme.example>,\n\tsupport@acme.example': (None, ("support@acme.example",)),
    b"": (None, ("billing@acme.example",)),
    b"\xff\xfe\x00 no header at all": (None, ("billing@acme.example",)),
}


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("head", HEADERS)
def test_the_envelope_is_made_from_the_header(tmp_path: Path, head: bytes, line_end: bytes) -> None:
    """Addresses in the body never count."""
    folder = _folder(tmp_path)
    body = b"\n\nReturn-Path: <evil@x.example>\nTo: t-1@reply.acme.example\n"
    _drop(tmp_path, "1", (head + body).replace(b"\n", line_end))
    folder.poll(), folder.poll()
    ((envelope, _),) = stored(tmp_path / "spool")
    assert (envelope.mail_from, envelope.rcpt_tos) == HEADERS[head]


def test_a_file_that_still_grows_is_left_until_it_rests(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    for count in range(3):
        _drop(tmp_path, "1", RAW + b"x" * count)
        assert folder.poll() == []
    assert len(folder.poll()) == 1
    assert stored(tmp_path / "spool")[0][1] == RAW + b"xx"


def test_what_is_no_readable_mail_is_set_aside_with_the_reason(tmp_path: Path) -> None:
    """Links, pipes, directories, empty and oversized files; the good mail behind them comes through."""
    folder = _folder(tmp_path, max_size=1000)
    new = tmp_path / "drop" / "new"
    (new / "1-link").symlink_to("/etc/passwd")
    os.mkfifo(new / "2-pipe")
    (new / "3-directory").mkdir()
    _drop(tmp_path, "4-empty", b"")
    _drop(tmp_path, "5-large", RAW + b"x" * 1000)
    _drop(tmp_path, ".hidden", RAW)
    _drop(tmp_path, "6-good", RAW)
    folder.poll(), folder.poll()
    names = ["1-link", "2-pipe", "3-directory", "4-empty", "5-large"]
    assert _names(tmp_path, "bad") == sorted(names + [name + ".why" for name in names])
    assert "limit is 1000" in (tmp_path / "drop" / "bad" / "5-large.why").read_text()
    assert (_names(tmp_path, "new"), _names(tmp_path, "cur")) == ([".hidden"], ["6-good:2,S"])
    assert [raw for _, raw in stored(tmp_path / "spool")] == [RAW]


def test_a_name_that_is_taken_is_never_overwritten(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    for text in (b"one", b"two", b"three"):
        _drop(tmp_path, "1", RAW + text)
        folder.poll(), folder.poll()
    cur = tmp_path / "drop" / "cur"
    assert {path.name: path.read_bytes()[-3:] for path in cur.iterdir()} == {
        "1:2,S": b"one",
        "1.2:2,S": b"two",
        "1.3:2,S": b"ree",
    }


@pytest.mark.parametrize("operation", ["create", "write", "fsync", "replace", "fsync_dir"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_while_the_spool_fails_the_file_stays_in_new(tmp_path: Path, operation: str, number: int) -> None:
    """And comes in once the disk is well again."""
    _folder(tmp_path)
    _drop(tmp_path, "1", RAW)
    folder = _folder(tmp_path, FaultyDisk(OSError(number, "no"), only=operation))
    folder.poll()
    assert folder.poll() == []
    assert (_names(tmp_path, "new"), _names(tmp_path, "bad")) == (["1"], [])
    folder = _folder(tmp_path)
    folder.poll()
    assert len(folder.poll()) == 1
    assert len(stored(tmp_path / "spool")) == 1


@pytest.mark.asyncio
async def test_run_takes_what_lay_there_at_the_start_and_what_comes_later(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    _drop(tmp_path, "1", RAW)
    task = asyncio.create_task(folder.run(every=0.01))
    for number in ("2", "3"):
        while len(_names(tmp_path, "cur")) < int(number) - 1:
            await asyncio.sleep(0.01)
        _drop(tmp_path, number, RAW)
    while len(_names(tmp_path, "cur")) < 3:
        await asyncio.sleep(0.01)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    assert len(stored(tmp_path / "spool")) == 3


def test_a_bug_with_one_file_does_not_stop_the_others(tmp_path: Path) -> None:
    def knows(address: str) -> bool:
        if address == "support@acme.example":
            raise RuntimeError("bug")
        return False

    folder = DropFolder(tmp_path / "drop", Spool(tmp_path / "spool"), knows=knows, default="billing@acme.example")
    _drop(tmp_path, "1", RAW)
    _drop(tmp_path, "2", b"Subject: x\n\n")
    folder.poll()
    assert len(folder.poll()) == 1
    assert (_names(tmp_path, "new"), _names(tmp_path, "cur")) == (["1"], ["2:2,S"])
