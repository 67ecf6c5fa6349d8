"""The SMTP door: what it answers, what it stores, and that no peer can talk it out of either."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
import socket
import ssl
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.core.model import Envelope
from gateway.edge.durable import Disk
from gateway.edge.room import Room, RoomLimits
from gateway.edge.smtp_receive import Door
from gateway.edge.spool import Spool
from gateway.edge.spool_in import BUFFER
from gateway.errors import StateError
from tests.edge.door import HEADER, SETTINGS, START, Peer, leftovers, opened, stored, visit
from tests.edge.faults import FaultyDisk

pytestmark = pytest.mark.asyncio


# --- Accepting ------------------------------------------------------------------------------


async def test_250_names_a_file_that_is_in_the_spool(tmp_path: Path) -> None:
    """The reply's id is the spool id, and the file holds the bytes as they were sent."""
    async with opened(tmp_path) as door:
        peer = await visit(door)
        answer = await peer.mail(HEADER + b"..dot\r\nbare\nLF bare\rCR\r\n")
        spool_id = re.fullmatch(r"250 2\.0\.0 ([0-9A-Z]{26})", answer)
        assert spool_id is not None
        assert Spool(tmp_path).raw(spool_id[1]) == HEADER + b".dot\r\nbare\nLF bare\rCR\r\n\r\n"
        await peer.close()


async def test_the_envelope_says_who_brought_the_mail(tmp_path: Path) -> None:
    """Null sender is None, doubles are one, postmaster has our host, recipients are canonical."""
    before = datetime.now(UTC)
    async with opened(tmp_path, relay_of={"127.0.0.1": "mx"}.get) as door:
        peer = await visit(door)
        await peer.say(b"EHLO host.kunde.example")
        assert await peer.say(b"mail from:<> BODY=8BITMIME SIZE=1000") == "250 2.1.0 Sender OK"
        for to in (b"Support@ACME.example", b"support@acme.example", b"PostMaster"):
            assert (await peer.say(b"RCPT TO:<" + to + b">")).startswith("250")
        await peer.say(b"DATA")
        assert (await peer.say(HEADER + b".")).startswith("250")
        await peer.close()
    ((envelope, _),) = stored(tmp_path)
    assert before <= envelope.received_at <= datetime.now(UTC)
    assert envelope == Envelope(
        channel="smtp",
        received_at=envelope.received_at,
        mail_from=None,
        rcpt_tos=("support@acme.example", "postmaster@mx.acme.example"),
        helo="host.kunde.example",
        peer="127.0.0.1",
        relay="mx",
    )


async def test_ehlo_announces_what_we_do_and_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        peer = await visit(door)
        assert await peer.say(b"EHLO kunde.example") == (
            "250-mx.acme.example\n250-SIZE 26214400\n250-8BITMIME\n250-PIPELINING\n250 ENHANCEDSTATUSCODES"
        )
        assert await peer.say(b"HELO kunde.example") == "250 mx.acme.example"
        await peer.close()


@pytest.mark.parametrize("size", [0, 100, BUFFER, 3 * BUFFER, 20 * BUFFER])
async def test_mails_of_every_size_arrive_whole_in_any_cut(tmp_path: Path, size: int) -> None:
    """Small ones take one job, large ones many pieces; dots at line starts come out as they were."""
    raw = (b".line with a dot, and its end: \r\n" * (size // 32 + 1))[:size]
    raw = raw + b"\r\n" if raw else raw
    wire = (b"\r\n" + raw).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n"
    async with opened(tmp_path) as door:
        peer = await visit(door)
        await peer.send(START + b"DATA\r\n")
        step = max(len(wire) // 7, 1) if size > 100 else 1
        for start in range(0, len(wire), step):
            await peer.send(wire[start : start + step])
            await asyncio.sleep(0)
        await peer.send(b"QUIT\r\n")
        assert (await peer.rest())[-2].startswith("250 2.0.0")
        await peer.close()
    assert [found for _, found in stored(tmp_path)] == [raw]


async def test_a_pipelined_session_of_a_thousand_lines(tmp_path: Path) -> None:
    """Sent in one go, with DATA in the middle: every command gets its reply, in order."""
    mail = b"MAIL FROM:<a@kunde.example>\r\nRCPT TO:<support@acme.example>\r\nDATA\r\n%d\r\n.\r\n"
    async with opened(tmp_path) as door:
        peer = await visit(door)
        await peer.send(b"EHLO kunde.example\r\n" + b"".join(mail % i for i in range(200)) + b"QUIT\r\n")
        codes = [line[:3] for line in await peer.rest() if line[3] == " "]
        await peer.close()
    assert codes == ["250"] + ["250", "250", "354", "250"] * 200 + ["221"]
    assert [raw for _, raw in stored(tmp_path)] == [b"%d\r\n" % i for i in range(200)]


GROUPS = {
    "data": (b"DATA\r\n", ["250", "250", "354"]),
    "refusal": (b"RCPT TO:<nobody@acme.example>\r\n", ["250", "250", "550"]),
    "farewell": (b"QUIT\r\n", ["250", "250", "221"]),
    "half a command": (b"RS", ["250", "250"]),
}


@pytest.mark.parametrize(("end", "codes"), GROUPS.values(), ids=GROUPS.keys())
async def test_replies_to_a_group_of_commands_are_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: bytes, codes: list[str]
) -> None:
    """RFC 2920 §3.2: together and in order, and none is held when there is nothing more to read."""
    written: list[bytes] = []
    write = asyncio.StreamWriter.write

    def listen(writer: asyncio.StreamWriter, data: bytes) -> None:
        written.append(data)
        write(writer, data)

    async with opened(tmp_path) as door:
        peer = await visit(door)
        await peer.say(b"EHLO kunde.example")
        monkeypatch.setattr(asyncio.StreamWriter, "write", listen)
        group = b"MAIL FROM:<a@kunde.example>\r\nRCPT TO:<support@acme.example>\r\n" + end
        await peer.send(group)
        replies = [await peer.reply() for _ in codes]
        assert [reply[:3] for reply in replies] == codes
        assert written == [group, "".join(reply + "\r\n" for reply in replies).encode()]


async def test_a_peer_that_closed_its_half_gets_its_replies(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        peer = await visit(door)
        await peer.send(START + b"DATA\r\n" + HEADER + b".\r\nQUIT\r\n")
        peer.writer.write_eof()
        assert [line[:3] for line in await peer.rest()][-3:] == ["354", "250", "221"]
        await peer.close()
    assert len(stored(tmp_path)) == 1


# --- Refusing -------------------------------------------------------------------------------

BAD_PATHS = [
    b"<=?utf-8?q?a=0D=0ARCPT_TO:<x@y>?=@b>",
    b"<agent@=?utf-8?q?corp.test?=>",
    b"<a\rb@c>",
    b"<a@b\0>",
    b"<@r1,@r2:c@d>",
    b'<"a\\"@evil"@d>',
    b"<" + b"a" * 65 + b"@kunde.example>",
    b"<\xc3\xa4@kunde.example>",
    b"<a@kunde.example",
    b"a@kunde.example",
    b"<a@kunde.example>x",
    b"<a@kunde.example><b@kunde.example>",
]


@pytest.mark.parametrize("path", BAD_PATHS)
async def test_a_malformed_path_is_refused_for_sender_and_recipient(tmp_path: Path, path: bytes) -> None:
    """security.md inputs 15 and 16: 553, and the conversation goes on in step."""
    async with opened(tmp_path, knows=lambda address: True) as door:
        peer = await visit(door)
        await peer.say(b"EHLO kunde.example")
        assert (await peer.say(b"MAIL FROM:" + path)).startswith("553 5.1.3")
        await peer.say(b"MAIL FROM:<a@kunde.example>")
        assert (await peer.say(b"RCPT TO:" + path)).startswith("553 5.1.3")
        assert await peer.say(b"NOOP") == "250 2.0.0 OK"
        await peer.close()


REFUSALS = {
    b"BDAT 3 LAST": "500 5.5.1",
    b"AUTH PLAIN AGEAYg==": "500 5.5.1",
    b"STARTTLS": "503 5.5.1",
    b"NOOP " + b"x" * 2000: "500 5.5.2",
    b"NOOP " + b"x" * 300_000: "500 5.5.2",
    b"": "500 5.5.1",
    b"EHLO": "501 5.5.4",
    b"EHLO \xff\xfe": "501 5.5.4",
    b"DATA": "503 5.5.1",
    b"RCPT TO:<support@acme.example>": "503 5.5.1",
    b"MAIL TO:<a@b>": "501 5.5.4",
    b"MAIL FROM:<a@kunde.example> SIZE=26214401": "552 5.3.4",
    b"MAIL FROM:<a@kunde.example> SIZE=" + b"9" * 20: "552 5.3.4",
    b"MAIL FROM:<a@kunde.example> SIZE=x": "555 5.5.4",
    b"MAIL FROM:<a@kunde.example> SMTPUTF8": "555 5.5.4",
    b"MAIL FROM:<a@kunde.example> BODY=BINARYMIME": "555 5.5.4",
    b"VRFY support@acme.example": "252 2.5.0",
}


@pytest.mark.parametrize("command", REFUSALS, ids=lambda command: command[:30].decode("latin-1"))
async def test_a_command_that_we_do_not_take_gets_its_code(tmp_path: Path, command: bytes) -> None:
    async with opened(tmp_path) as door:
        peer = await visit(door)
        await peer.say(b"EHLO kunde.example")
        assert (await peer.say(command)).startswith(REFUSALS[command])
        assert (await peer.mail(HEADER)).startswith("250")
        await peer.close()


async def test_an_unknown_recipient_is_refused_and_the_others_get_the_mail(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        peer = await visit(door)
        await peer.send(START)
        for _ in range(3):
            await peer.reply()
        assert (await peer.say(b"RCPT TO:<nobody@acme.example>")).startswith("550 5.1.1")
        await peer.say(b"DATA")
        assert (await peer.say(b".")).startswith("250")
        await peer.close()
    assert [envelope.rcpt_tos for envelope, _ in stored(tmp_path)] == [("support@acme.example",)]


async def test_more_recipients_than_the_limit_are_put_off_without_losing_the_mail(tmp_path: Path) -> None:
    """RFC 5321 §4.5.3.1.10: 452, and no end of the connection however many there are."""
    async with opened(tmp_path, knows=lambda address: True) as door:
        peer = await visit(door)
        await peer.send(b"EHLO k\r\nMAIL FROM:<>\r\n")
        await peer.reply(), await peer.reply()
        answers = [await peer.say(b"RCPT TO:<r%d@acme.example>" % i) for i in range(100)]
        assert [answer[:9] for answer in answers] == ["250 2.1.5"] * 50 + ["452 4.5.3"] * 50
        await peer.say(b"DATA")
        assert (await peer.say(b".")).startswith("250")
        await peer.close()
    assert [len(envelope.rcpt_tos) for envelope, _ in stored(tmp_path)] == [50]


async def test_a_mail_over_the_size_limit_is_refused_after_its_end(tmp_path: Path) -> None:
    """Without an announced SIZE; nothing stays on disk, and the next mail is taken."""
    async with opened(tmp_path, replace(SETTINGS, max_size=300_000)) as door:
        peer = await visit(door)
        assert (await peer.mail(HEADER + b"x" * 300_001)).startswith("552 5.3.4")
        assert leftovers(tmp_path) == []
        assert (await peer.mail(HEADER)).startswith("250")
        await peer.close()
    assert len(stored(tmp_path)) == 1


async def test_a_mail_of_bare_line_ends_needs_no_memory(tmp_path: Path) -> None:
    """security.md input 1: 33 MB of CRLF; resident memory grows by less than the mail."""
    async with opened(tmp_path, replace(SETTINGS, max_size=40_000_000)) as door:
        peer = await visit(door)
        await peer.send(START + b"DATA\r\n" + b"\r\n" * 100)
        before = _resident()
        for _ in range(256):
            await peer.send(b"\r\n" * 65_536)
        grown = _resident() - before
        await peer.send(b".\r\nQUIT\r\n")
        assert (await peer.rest())[-2].startswith("250")
        assert grown < 16_000_000
        await peer.close()
    assert [len(raw) for _, raw in stored(tmp_path)] == [200 + 2 * 256 * 65_536]


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


# --- The end of the data --------------------------------------------------------------------

NO_ENDS = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\r\r\n"]
NO_ENDS += [b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\0\r\n..\r\n", b"\n\n.\r\n"]


@pytest.mark.parametrize("almost", NO_ENDS)
@pytest.mark.parametrize("octets", [1, 1000])
async def test_only_crlf_dot_crlf_ends_a_mail(tmp_path: Path, almost: bytes, octets: int) -> None:
    """security.md input 17: what stands behind a lookalike is text, never a second transaction."""
    smuggled = b"MAIL FROM:<evil@x.example>\r\nRCPT TO:<support@acme.example>\r\nDATA\r\nevil"
    wire = HEADER + b"one" + almost + smuggled + b"\r\n.\r\nQUIT\r\n"
    async with opened(tmp_path) as door:
        peer = await visit(door)
        await peer.send(START + b"DATA\r\n")
        for start in range(0, len(wire), octets):
            await peer.send(wire[start : start + octets])
        assert [line[:3] for line in await peer.rest()][-2:] == ["250", "221"]
        await peer.close()
    ((envelope, raw),) = stored(tmp_path)
    assert envelope.mail_from == "a@kunde.example"
    assert raw.endswith(smuggled + b"\r\n")


# --- A peer that goes away ------------------------------------------------------------------

SCRIPT = (START + b"DATA\r\n" + HEADER + b"x" * 200_000 + b"\r\n.\r\nQUIT\r\n").splitlines(keepends=True)


@pytest.mark.parametrize("how", ["close", "half", "reset"])
@pytest.mark.parametrize("step", range(len(SCRIPT) + 1))
async def test_a_peer_that_leaves_at_any_step_leaves_a_whole_mail_or_none(tmp_path: Path, how: str, step: int) -> None:
    """security.md fault F9, cut behind each line and in the middle of the next."""
    whole = HEADER + b"x" * 200_000 + b"\r\n"
    for part in (0.0, 0.5):
        root = tmp_path / str(part)
        async with opened(root) as door:
            peer = await visit(door)
            following = SCRIPT[step] if step < len(SCRIPT) else b""
            await peer.send(b"".join(SCRIPT[:step]) + following[: int(len(following) * part)])
            if how == "reset":
                peer.reset()
            elif how == "half":
                peer.writer.write_eof()
                await peer.rest()
            await peer.close()
        assert [raw for _, raw in stored(root)] in ([], [whole])
        assert leftovers(root) == []
        if step < SCRIPT.index(b".\r\n") + 1:
            assert stored(root) == []
        elif how == "half":
            assert len(stored(root)) == 1


class SlowDisk(Disk):
    """Says when the first fsync has begun, and ends it when it is told to."""

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()

    def fsync(self, fd: int) -> None:
        self.begun.set()
        assert self.go_on.wait(20)
        super().fsync(fd)


@pytest.mark.parametrize("how", ["close", "reset", "stop"])
async def test_a_mail_that_has_arrived_is_stored_though_the_peer_or_the_service_goes(tmp_path: Path, how: str) -> None:
    """The connection dies, or the door stops, while the disk is flushing: the flush goes on."""
    disk = SlowDisk()
    async with opened(tmp_path, disk=disk) as door:
        peer = await visit(door)
        await peer.send(START + b"DATA\r\n" + HEADER + b".\r\n")
        assert await asyncio.to_thread(disk.begun.wait, 20)
        stop = asyncio.create_task(door.stop(20.0)) if how == "stop" else None
        if how == "reset":
            peer.reset()
        elif how == "close":
            await peer.close()
        await asyncio.sleep(0.05)
        disk.go_on.set()
        if stop:
            await stop
            assert [line[:3] for line in await peer.rest()][-2:] == ["250", "421"]
        await peer.close()
    assert [raw for _, raw in stored(tmp_path)] == [HEADER]


async def test_stop_lets_a_mail_finish_and_sends_the_others_away(tmp_path: Path) -> None:
    """security.md S4: idle peers hear 421 at once, a mail within the grace gets its 250."""
    async with opened(tmp_path) as door:
        idle, busy, stuck = await visit(door), await visit(door), await visit(door)
        for peer in (busy, stuck):
            await peer.send(START + b"DATA\r\n")
            for _ in range(4):
                await peer.reply()
        stop = asyncio.create_task(door.stop(1.0))
        assert (await idle.rest())[-1].startswith("421 4.3.2")
        await busy.send(HEADER + b".\r\n")
        assert [line[:3] for line in await busy.rest()] == ["250", "421"]
        assert [line[:3] for line in await stuck.rest()] == ["421"]
        await stop
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", busy.writer.get_extra_info("peername")[1])
        for peer in (idle, busy, stuck):
            await peer.close()
    assert len(stored(tmp_path)) == 1


# --- Our own trouble ------------------------------------------------------------------------


@pytest.mark.parametrize("operation", ["create", "write", "fsync", "replace", "fsync_dir"])
@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, "452 4.3.1"), (errno.EIO, "451 4.3.0")])
@pytest.mark.parametrize("size", [10, 3 * BUFFER])
async def test_a_failing_disk_is_a_temporary_answer(
    tmp_path: Path, operation: str, number: int, code: str, size: int
) -> None:
    """4xx with an id, no word of the cause, nothing stored; the connection lives on."""
    disk = FaultyDisk(OSError(number, "secret", "/secret/path"), only=operation)
    Spool(tmp_path)  # The directories stand already.
    async with opened(tmp_path, disk=disk) as door:
        peer = await visit(door)
        answer = await peer.mail(HEADER + b"x\r\n" * (size // 3))
        assert re.fullmatch(re.escape(code) + r" [A-Za-z, ]+ \([0-9a-f]{8}\)", answer)
        assert "secret" not in answer
        assert await peer.say(b"NOOP") == "250 2.0.0 OK"
        await peer.close()
    assert stored(tmp_path) == []


async def test_a_bug_of_ours_is_a_temporary_answer_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The peer gets the connection's id, and the log has the exception under the same id."""

    def knows(address: str) -> bool:
        raise RuntimeError("secret")

    async with opened(tmp_path, knows=knows) as door:
        peer = await visit(door)
        answer = await peer.mail(HEADER)
        found = re.fullmatch(r"451 4\.3\.0 Temporary failure, please try again later \((\w{8})\)", answer)
        assert found is not None
        assert any(found[1] in record.getMessage() for record in caplog.records if record.exc_info)
        await peer.close()


ROOMS = {
    "no bytes": (RoomLimits(free_bytes=1 << 62), "452 4.3.1"),
    "no inodes": (RoomLimits(free_bytes=0, free_inodes=2.0), "452 4.3.1"),
    "too much waits": (RoomLimits(free_bytes=0, free_inodes=0.0, backlog_bytes=10), "451 4.3.2"),
    "it waits too long": (RoomLimits(free_bytes=0, free_inodes=0.0, backlog_age=timedelta(0)), "451 4.3.2"),
}


@pytest.mark.parametrize(("limits", "code"), ROOMS.values(), ids=ROOMS.keys())
async def test_without_room_mail_is_refused_before_it_is_sent(tmp_path: Path, limits: RoomLimits, code: str) -> None:
    spool = Spool(tmp_path)
    spool.put(Envelope(channel="smtp", received_at=datetime.now(UTC), mail_from=None, rcpt_tos=()), HEADER)
    door = Door(SETTINGS, spool, knows=bool, relay_of=lambda peer: None, room=Room(spool, limits))
    await door.start("127.0.0.1", 0)
    peer = await visit(door)
    await peer.say(b"EHLO kunde.example")
    assert (await peer.say(b"MAIL FROM:<a@kunde.example>")).startswith(code)
    await peer.close()
    await door.stop(0.5)


async def test_room_is_back_once_the_backlog_is_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    room = Room(spool, RoomLimits(free_bytes=0, free_inodes=0.0, backlog_bytes=10, keep_seconds=0.0))
    envelope = Envelope(channel="smtp", received_at=datetime.now(UTC), mail_from=None, rcpt_tos=())
    spool_id = spool.put(envelope, HEADER)
    assert room.refusal() is not None
    spool.finish([spool_id])
    assert room.refusal() is None


async def test_a_taken_port_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    async with opened(tmp_path) as door:
        second = Door(SETTINGS, Spool(tmp_path), knows=bool, relay_of=lambda peer: None)
        with pytest.raises(StateError, match=rf"127\.0\.0\.1:{door.port}.*configure another"):
            await second.start("127.0.0.1", door.port)
        await second.stop(0.0)


# --- TLS ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mx.acme.example").configure_cert(context)
    return context


@pytest.fixture
def client_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_what_is_pipelined_behind_starttls_is_thrown_away(
    tmp_path: Path, server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """security.md input 18, and the state of before: the peer must say EHLO again (RFC 3207 §4.2)."""
    async with opened(tmp_path, replace(SETTINGS, tls=server_tls)) as door:
        peer = await visit(door)
        assert "STARTTLS" in await peer.say(b"EHLO kunde.example")
        assert (await peer.say(b"STARTTLS\r\nMAIL FROM:<e@x.example>\r\nNOOP")).startswith("220")
        await peer.writer.start_tls(client_tls, server_hostname="mx.acme.example")
        assert (await peer.say(b"MAIL FROM:<a@kunde.example>")).startswith("503")
        assert "STARTTLS" not in await peer.say(b"EHLO kunde.example")
        assert (await peer.say(b"STARTTLS")).startswith("503")
        assert (await peer.mail(HEADER)).startswith("250")
        await peer.close()
    assert [(envelope.mail_from, envelope.tls) for envelope, _ in stored(tmp_path)] == [("a@kunde.example", True)]


@pytest.mark.parametrize("instead", [b"this is no handshake\r\n", b""])
async def test_a_handshake_that_fails_ends_the_connection(
    tmp_path: Path, server_tls: ssl.SSLContext, instead: bytes
) -> None:
    async with opened(tmp_path, replace(SETTINGS, tls=server_tls), tls_seconds=0.2) as door:
        peer = await visit(door)
        assert (await peer.say(b"STARTTLS")).startswith("220")
        await peer.send(instead)
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await peer.reader.readexactly(1000)
        await peer.close()
        assert (await (await visit(door)).mail(HEADER)).startswith("250")


# --- Limits ---------------------------------------------------------------------------------


async def test_a_network_with_too_many_connections_is_sent_away(tmp_path: Path) -> None:
    async with opened(tmp_path, connections_per_network=2) as door:
        inside = [await visit(door), await visit(door)]
        assert (await (await visit(door, greeting=False)).reply()).startswith("421 4.7.0")
        await inside[0].say(b"QUIT")
        await inside[0].rest()
        await asyncio.sleep(0.05)
        assert (await (await visit(door, greeting=False)).reply()).startswith("220")


async def test_strangers_cannot_take_the_connections_of_a_relay(tmp_path: Path) -> None:
    names = iter([None, None, None, "mx"])
    async with opened(tmp_path, relay_of=lambda peer: next(names), connections=2) as door:
        greetings = [(await (await visit(door, greeting=False)).reply())[:3] for _ in range(4)]
    assert greetings == ["220", "220", "421", "220"]


TIRESOME = {
    "errors": b"WHAT\r\n" * 20,
    "junk": b"NOOP\r\n" * 101,
    "greetings": b"EHLO kunde.example\r\n" * 101,
    "guesses": START + b"RCPT TO:<guess@acme.example>\r\n" * 11,
    "a browser": b"POST / HTTP/1.1\r\n",
    "recipients": b"EHLO k\r\nMAIL FROM:<>\r\n" + b"RCPT TO:<support@acme.example>\r\n" * 1051,
}


@pytest.mark.parametrize("lines", TIRESOME.values(), ids=TIRESOME.keys())
async def test_a_tiresome_peer_is_hung_up_on(tmp_path: Path, lines: bytes) -> None:
    """security.md input 20; the last word is 421."""
    async with opened(tmp_path) as door:
        peer = await visit(door)
        await peer.send(lines)
        assert (await peer.rest())[-1].startswith("421 4.7.0")
        await peer.close()


SLOW = {
    "silence": (b"", {"command_seconds": 0.1}),
    "half a command": (b"EHLO kun", {"command_seconds": 0.1}),
    "a long session": (b"NOOP\r\n", {"session_seconds": 0.1}),
    "silence in DATA": (START + b"DATA\r\nx", {"idle_seconds": 0.1}),
    "an endless DATA": (START + b"DATA\r\nx", {"data_seconds": 0.1}),
}


@pytest.mark.parametrize(("words", "limits"), SLOW.values(), ids=SLOW.keys())
async def test_a_silent_peer_is_hung_up_on(tmp_path: Path, words: bytes, limits: dict[str, Any]) -> None:
    async with opened(tmp_path, SETTINGS, **limits) as door:
        peer = await visit(door)
        await peer.send(words)
        assert (await peer.rest())[-1].startswith("421 4.4.2")
        await peer.close()
    assert (stored(tmp_path), leftovers(tmp_path)) == ([], [])


async def test_a_drip_of_data_is_hung_up_on(tmp_path: Path) -> None:
    """Never silent for long, but below the average that is asked for."""
    async with opened(tmp_path, idle_seconds=0.3, min_rate=1_000_000.0) as door:
        peer = await visit(door)
        await peer.send(START + b"DATA\r\n")
        drip = asyncio.create_task(_drip(peer))
        assert (await peer.rest())[-1].startswith("421 4.4.2")
        drip.cancel()
        await peer.close()
    assert stored(tmp_path) == []


async def _drip(peer: Peer) -> None:
    while True:
        peer.writer.write(b"x")
        await asyncio.sleep(0.02)


async def test_a_peer_that_never_reads_does_not_stop_the_others(tmp_path: Path) -> None:
    async with opened(tmp_path, command_seconds=0.3, junk=10**9) as door:
        deaf = socket.create_connection(("127.0.0.1", door.port))
        deaf.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                deaf.send(b"HELP\r\n" * 10_000)
                await asyncio.sleep(0)
        assert (await (await visit(door)).mail(HEADER)).startswith("250")
        deaf.close()


async def test_no_address_stands_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Token addresses are secrets."""
    caplog.set_level(logging.DEBUG)
    async with opened(tmp_path) as door:
        await (await visit(door)).mail(HEADER, to=b"t-1@reply.acme.example")
    assert "t-1@" not in caplog.text
