"""The LMTP dialect (RFC 2033)."""

from __future__ import annotations

import asyncio
import errno
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.edge.smtp_receive import Door
from gateway.edge.spool import Spool
from tests.edge.door import HEADER, OURS, SETTINGS, Peer, opened, stored, visit
from tests.edge.faults import FaultyDisk

pytestmark = pytest.mark.asyncio
LMTP = replace(SETTINGS, lmtp=True)
START = b"LHLO relay.example\r\nMAIL FROM:<a@kunde.example>\r\n"
THREE = [b"support@acme.example", b"nobody@acme.example", b"billing@acme.example", b"support@acme.example"]


async def _three(peer: Peer) -> list[str]:
    await peer.send(START)
    await peer.reply(), await peer.reply()
    return [await peer.say(b"RCPT TO:<" + to + b">") for to in THREE]


async def test_each_accepted_recipient_gets_a_reply_of_its_own(tmp_path: Path) -> None:
    """Four asked for, one unknown: three replies after the data, a double counts twice (§4.2)."""
    async with opened(tmp_path, LMTP) as door:
        peer = await visit(door)
        assert [answer[:9] for answer in await _three(peer)] == [
            "250 2.1.5",
            "550 5.1.1",
            "250 2.1.5",
            "250 2.1.5",
        ]
        await peer.say(b"DATA")
        await peer.send(HEADER + b".\r\nQUIT\r\n")
        replies = await peer.rest()
        await peer.close()
    ((envelope, raw),) = stored(tmp_path)
    (spool_id,) = Spool(tmp_path).waiting()
    assert replies == [f"250 2.0.0 {spool_id}"] * 3 + ["221 2.0.0 Bye"]
    assert (envelope.channel, envelope.rcpt_tos) == ("lmtp", ("support@acme.example", "billing@acme.example"))
    assert raw == HEADER


async def test_a_refusal_after_the_data_is_said_once_per_recipient(tmp_path: Path) -> None:
    Spool(tmp_path)
    disk = FaultyDisk(OSError(errno.EIO, "secret"), only="fsync")
    async with opened(tmp_path, LMTP, disk=disk) as door:
        peer = await visit(door)
        await _three(peer)
        await peer.say(b"DATA")
        await peer.send(HEADER + b".\r\nQUIT\r\n")
        assert [line[:9] for line in await peer.rest()] == ["451 4.3.0"] * 3 + ["221 2.0.0"]
        await peer.close()
    assert stored(tmp_path) == []


async def test_data_without_a_valid_recipient_is_one_503(tmp_path: Path) -> None:
    """RFC 2033 §4.2: no 354 and no reply per recipient."""
    async with opened(tmp_path, LMTP) as door:
        peer = await visit(door)
        await peer.send(START + b"RCPT TO:<nobody@acme.example>\r\nDATA\r\nQUIT\r\n")
        assert [line[:3] for line in await peer.rest()][-3:] == ["550", "503", "221"]
        await peer.close()


async def test_lhlo_in_place_of_ehlo_and_helo(tmp_path: Path) -> None:
    """§4.1, and §5: PIPELINING and ENHANCEDSTATUSCODES must be there."""
    async with opened(tmp_path, LMTP) as door:
        peer = await visit(door, greeting=False)
        assert await peer.reply() == "220 mx.acme.example LMTP Mailwicket"
        assert (await peer.say(b"EHLO a")).startswith("500")
        assert (await peer.say(b"HELO a")).startswith("500")
        extensions = await peer.say(b"LHLO a")
        assert "PIPELINING" in extensions
        assert "ENHANCEDSTATUSCODES" in extensions
        await peer.close()


async def test_over_a_unix_socket_the_peer_is_called_unix(tmp_path: Path) -> None:
    door = Door(LMTP, Spool(tmp_path), knows=OURS.__contains__, relay_of={"unix": "postfix"}.get)
    await door.start(path=tmp_path / "lmtp")
    peer = Peer(*await asyncio.open_unix_connection(tmp_path / "lmtp"))
    await peer.reply()
    assert (await peer.mail(HEADER, hello=b"LHLO")).startswith("250")
    await peer.close()
    await door.stop(0.5)
    assert [(envelope.peer, envelope.relay) for envelope, _ in stored(tmp_path)] == [("unix", "postfix")]
