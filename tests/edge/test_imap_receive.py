"""A watched mailbox against a server that breaks at every step: no mail lost, none spooled twice."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import ssl
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import trustme
from faults import DeadError, FaultyDisk
from hypothesis import given
from hypothesis import strategies as st
from imap_server import (
    CAPABILITIES,
    FIRST_DATE,
    Fault,
    Kept,
    Server,
    before,
    bye,
    bye_and_stays,
    closed,
    endless_line,
    half_silent,
    halved,
    huge_literal,
    noise,
    on_uid,
    other_tag,
    refused,
    reset,
    silent,
)

from gateway.core.model import Envelope
from gateway.edge.durable import DISK, Disk
from gateway.edge.imap_connection import folder_name, internal_date, mails
from gateway.edge.imap_cursor import CursorFile, State
from gateway.edge.imap_lot import stub
from gateway.edge.imap_receive import Mailbox, MailboxEvent
from gateway.edge.imap_settings import MailboxSettings, Pace
from gateway.edge.oauth import OAuthSettings, TokenRefused, TokenSource
from gateway.edge.room import Room, RoomLimits
from gateway.edge.spool import Spool
from gateway.errors import Damaged
from gateway.mime.parse import parse

RCPT = "support@acme.example"
QUICK = Pace(connect=5, silence=0.4, slowest=1 << 20, first_delay=0.01, last_delay=0.05, breath=0.01, rescan=3600, lot=1 << 20)
SETTINGS = MailboxSettings(
    name="support", host="127.0.0.1", tls="none", username="support", password='pa ss"w\\rd', poll_seconds=30, pace=QUICK,
)
ORIGIN = "imap://support/INBOX;UIDVALIDITY=1700000000/;UID="


def mail(number: int, body: str = "hello") -> bytes:
    return (
        f"Return-Path: <ann@cust.example>\r\nDelivered-To: {RCPT}\r\nReceived: from a by b\r\n"
        f"From: Ann <ann@cust.example>\r\nSubject: mail {number}\r\n\r\n{body} * stars * ((( {{12}}\r\n"
    ).encode()


class Desk:
    """A mailbox at work on ``root``: what is spooled, and what was told."""

    def __init__(self, root: Path, server: Server, disk: Disk = DISK, **changes: object) -> None:
        self.root, self.server = root, server
        self.settings = replace(SETTINGS, port=server.port, **changes)  # type: ignore[arg-type]
        self.events: list[MailboxEvent] = []
        root.mkdir(exist_ok=True)
        self.spool = Spool(root / "spool", disk)
        self.cursor = CursorFile(root / "INBOX.json", disk)
        sent = CursorFile(root / "Sent.json", disk) if self.settings.sent_folder else None
        self.mailbox = Mailbox(
            self.settings, self.spool, self.cursor, rcpt=RCPT, sent_cursor=sent,
            room=Room(self.spool, RoomLimits(free_bytes=0, free_inodes=0)), on_event=self.events.append,
        )

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Desk]:
        task = asyncio.create_task(self.mailbox.run())
        try:
            yield self
            assert not task.done(), task.exception()
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def stored(self) -> list[tuple[Envelope, bytes]]:
        return [self.spool.read(spool_id) for spool_id in self.spool.waiting()]

    def origins(self) -> list[str]:
        return [envelope.origin for envelope, _ in self.stored()]

    def told(self, name: str) -> list[MailboxEvent]:
        return [event for event in self.events if event.name == name]

    async def has(self, *numbers: int) -> None:
        """Wait until the mails with these UIDs, and only these, are spooled once each, and the server rests."""
        wanted = Counter(f"{ORIGIN}{number}" for number in numbers)
        await until(lambda: not wanted - Counter(self.origins()), lambda: f"{self.origins()} {self.events} {self.server.said}")
        await self.rests()
        assert Counter(self.origins()) == wanted

    async def rests(self) -> None:
        """Wait until every ordered fault has come to pass and the desk idles again after it."""
        await until(lambda: self.server.broken and any(s.idling for s in self.server._sessions), lambda: str(self.server.said))


async def until(look: Callable[[], object], what: Callable[[], str] = lambda: "") -> None:
    for _ in range(1000):
        if look():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"waited in vain: {what()}")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """With three mails that are there before anybody looks."""
    async with Server().running() as one:
        for number in (1, 2, 3):
            one.deliver(mail(number))
        yield one


# --- The way of a mail ----------------------------------------------------------------------


async def test_what_is_there_and_what_comes_is_spooled_as_it_is(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
        server.deliver(mail(4, "x" * 70_000))
        await desk.has(1, 2, 3, 4)
    assert [raw for _, raw in desk.stored()] == [kept.raw for kept in server.mails.values()]
    assert all(kept.flags == {r"\Seen", "$MailwicketDone"} for kept in server.mails.values())
    assert not [command for command in server.said if "ENVELOPE" in command or "BODY[]" in command]


async def test_the_envelope_says_where_the_mail_lay_and_who_vouches(server: Server, tmp_path: Path) -> None:
    now = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    server.mails[1].date = now.strftime("%d-%b-%Y %H:%M:%S +0000")
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
    assert desk.stored()[0][0] == Envelope(
        channel="imap", received_at=now, mail_from="ann@cust.example", rcpt_tos=(RCPT,), peer="127.0.0.1", relay="support",
        origin=f"{ORIGIN}1",
    )


@pytest.mark.parametrize(("header", "mail_from", "rcpt_tos"), [
    ("Return-Path: <>\r\nFrom: <mailer-daemon@mx.example>\r\n", None, (RCPT,)),
    ("From: Ann <ann@cust.example>\r\n", "ann@cust.example", (RCPT,)),
    ("X-Original-To: Billing@Acme.example\r\nDelivered-To: u7@in.example\r\n", None, ("u7@in.example", "billing@acme.example")),
    ("Return-Path: <=?utf-8?q?x?=@y>\r\nDelivered-To: nonsense\r\n", None, (RCPT,)),
    ("", None, (RCPT,)),
])
async def test_the_envelope_comes_from_the_header(
    server: Server, tmp_path: Path, header: str, mail_from: str | None, rcpt_tos: tuple[str, ...]
) -> None:
    server.mails = {1: Kept(f"{header}Subject: x\r\n\r\nx\r\n".encode())}
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1)
    envelope, _ = desk.stored()[0]
    assert (envelope.mail_from, envelope.rcpt_tos) == (mail_from, rcpt_tos)


async def test_a_durable_mail_is_moved(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server, move_to="Processed").watching() as desk:
        await desk.has(1, 2, 3)
    assert (len(server.processed), server.mails) == (3, {})


async def test_without_move_it_is_copied_and_only_our_own_is_expunged(tmp_path: Path) -> None:
    async with Server("IMAP4rev1 IDLE UIDPLUS").running() as server:
        server.deliver(mail(1))
        async with Desk(tmp_path, server, move_to="Processed").watching() as desk:
            await desk.has(1)
    assert (len(server.processed), server.mails) == (1, {})
    assert [c.split(" ", 1)[1] for c in server.said if "EXPUNGE" in c] == ["UID EXPUNGE 1"]


async def test_a_server_that_cannot_move_or_flag_gets_its_mail_taken_all_the_same(tmp_path: Path) -> None:
    async with Server("IMAP4rev1 IDLE").running() as server:
        server.deliver(mail(1))
        server.always("STORE", refused())
        async with Desk(tmp_path, server, move_to="Processed").watching() as desk:
            await desk.has(1)
            server.deliver(mail(2))
            await desk.has(1, 2)
    assert [e.uid for e in desk.told("not_moved")] == [1, 2]
    assert [e.uid for e in desk.told("not_flagged")] == [1, 2]


async def test_a_server_without_keywords_gets_the_plain_flag_and_people_may_clear_it(server: Server, tmp_path: Path) -> None:
    server.permanent = r"\Seen"
    server.once("STORE", refused())
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
        for kept in server.mails.values():
            kept.flags.clear()
        server.drop_all()
        await until(lambda: len(desk.told("connected")) == 2)
        await desk.has(1, 2, 3)
    assert [kept.flags for kept in server.mails.values()] == [set(), set(), set()]


async def test_without_idle_the_mailbox_is_polled(tmp_path: Path) -> None:
    async with Server("IMAP4rev1").running() as server, Desk(tmp_path, server, poll_seconds=0.05).watching() as desk:
        server.deliver(mail(1))
        await until(lambda: desk.origins() == [f"{ORIGIN}1"])
        server.deliver(mail(2))
        await until(lambda: len(desk.origins()) == 2)
        # Each further look is answered with the last mail, although nothing is new (RFC 3501 §6.4.8).
        await until(lambda: len([c for c in server.said if c.endswith("UID SEARCH UID 3:*")]) > 2)
        assert desk.origins() == [f"{ORIGIN}1", f"{ORIGIN}2"]


async def test_a_push_that_never_comes_is_made_up_for_by_the_poll(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server, poll_seconds=0.1).watching() as desk:
        await desk.has(1, 2, 3)
        server.mails[4] = Kept(mail(4))
        server.uidnext = 5
        await desk.has(1, 2, 3, 4)
        assert len(desk.told("connected")) == 1


async def test_a_first_look_at_what_is_new_leaves_old_mail_alone(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server, start="new").watching() as desk:
        await desk.rests()
        server.deliver(mail(4))
        await desk.has(4)
        server.drop_all()
        await until(lambda: len(desk.told("connected")) == 2)
        await desk.has(4)
    assert [kept.flags for kept in list(server.mails.values())[:3]] == [set()] * 3


async def test_the_sent_folder_is_watched_and_nothing_changes_in_it(server: Server, tmp_path: Path) -> None:
    """The scripted server shows the same mails under both names."""
    async with Desk(tmp_path, server, sent_folder="Gesendet", move_to=None).watching() as desk:
        await until(lambda: len(desk.origins()) == 3 and sum(s.idling for s in server._sessions) == 2)
        server.deliver(mail(4))
        await until(lambda: len(desk.origins()) == 5)
    sent = [envelope for envelope, _ in desk.stored() if envelope.origin.endswith(";SENT")]
    assert [(e.origin, e.rcpt_tos) for e in sent] == [
        ("imap://support/Gesendet;UIDVALIDITY=1700000000/;UID=4;SENT", (RCPT,))
    ]


# --- Input 40 and fault F11: every step breaks in every way ---------------------------------

STEPS = ("greeting", "CAPABILITY", "LOGIN", "SELECT", "SIZES", "SEARCH", "BODIES", "STORE", "MOVE", "IDLE", "DONE")
FAULTS: tuple[Fault, ...] = (closed, halved, reset, silent, half_silent, bye, bye_and_stays, noise, other_tag, endless_line)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("step", STEPS)
async def test_a_break_at_any_step_loses_nothing_and_repeats_nothing(
    server: Server, tmp_path: Path, step: str, fault: Fault
) -> None:
    server.once(step, fault)
    poll = 0.1 if step in {"IDLE", "DONE"} else 30  # A push may complete half a line; then only the poll helps.
    async with Desk(tmp_path, server, move_to="Processed", poll_seconds=poll).watching() as desk:
        await desk.has(1, 2, 3)
        server.deliver(mail(4))
        await desk.has(1, 2, 3, 4)
        await until(lambda: not server.mails)
    assert Counter(server.processed) == Counter(mail(n) for n in (1, 2, 3, 4))
    assert [raw for _, raw in desk.stored()] == [mail(n) for n in (1, 2, 3, 4)]


@pytest.mark.parametrize("step", ["SELECT", "SEARCH", "SIZES", "BODIES", "STORE", "MOVE", "LOGIN"])
async def test_a_refusal_at_any_step_is_passed_over_or_tried_again(server: Server, tmp_path: Path, step: str) -> None:
    server.once(step, refused())
    async with Desk(tmp_path, server, move_to="Processed").watching() as desk:
        await desk.has(1, 2, 3)


@pytest.mark.parametrize("step", ["SIZES", "BODIES", "SEARCH", "STORE"])
async def test_five_thousand_fetch_lines_in_one_segment(server: Server, tmp_path: Path, step: str) -> None:
    lines = b"".join(b"* %d FETCH (FLAGS (\\Seen) UID %d)\r\n" % (n, n + 10) for n in range(5000))
    server.once(step, before(lines))
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)


async def test_nearly_a_thousand_lines_in_one_segment_are_simply_read(server: Server, tmp_path: Path) -> None:
    """The library's own limit is its stack; ours is MOST_LINES."""
    server.once("BODIES", before(b"* 1 FETCH (FLAGS (\\Seen))\r\n" * 990))
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
        assert len(desk.told("connected")) == 1


async def test_fifteen_hundred_expunges_while_idle(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
        server.push(b"* 1 EXPUNGE\r\n" * 1500)
        await until(lambda: desk.told("lost"))
        server.deliver(mail(4))
        await desk.has(1, 2, 3, 4)


async def test_many_pushes_in_small_pieces_end_idle_and_nothing_else(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
        for _ in range(20):
            await desk.rests()
            server.push(b"* 1 FETCH (FLAGS ())\r\n" * 100)
            await asyncio.sleep(0.01)
        server.deliver(mail(4))
        await desk.has(1, 2, 3, 4)
        assert not desk.told("lost")


async def test_a_huge_literal_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    server.once("BODIES", huge_literal)
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
    assert "99999999999" in desk.told("lost")[0].detail


async def test_unasked_envelopes_with_open_parentheses_swallow_no_mail(server: Server, tmp_path: Path) -> None:
    trap = b'* 9 FETCH (UID 9 ENVELOPE ("x" "(((( * 2 FETCH (UID 2" NIL))\r\n'
    server.once("BODIES", before(trap))
    server.once("SIZES", before(trap))
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
    assert [raw for _, raw in desk.stored()] == [mail(n) for n in (1, 2, 3)]


async def test_a_literal_in_pieces_of_one_octet(server: Server, tmp_path: Path) -> None:
    async def dripping(session: object, answer: bytes) -> None:
        for octet in answer:
            session.writer.write(bytes([octet]))  # type: ignore[attr-defined]
            await session.writer.drain()  # type: ignore[attr-defined]

    server.once("BODIES", dripping)
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
    assert [raw for _, raw in desk.stored()] == [mail(n) for n in (1, 2, 3)]


@pytest.mark.parametrize("said", ["* PREAUTH welcome\r\n", "* OK hi\r\n* OK again\r\n", "* BYE full\r\n", "220 mx ESMTP\r\n"])
async def test_a_strange_greeting_is_no_server_of_ours(server: Server, tmp_path: Path, said: str) -> None:
    async def greeting(session: object, answer: bytes) -> None:
        session.writer.write(said.encode())  # type: ignore[attr-defined]

    server.once("greeting", greeting)
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
    assert desk.told("lost")


async def test_one_mail_that_always_breaks_the_connection_holds_up_no_other(server: Server, tmp_path: Path) -> None:
    server.always("BODIES", on_uid(2, halved))
    pace = replace(QUICK, rescan=0.2)
    async with Desk(tmp_path, server, pace=pace, poll_seconds=0.1).watching() as desk:
        await until(lambda: len(desk.origins()) == 2 and desk.told("quarantine"))
        server.deliver(mail(4))
        await until(lambda: len(desk.origins()) == 3)
        assert desk.origins() == [f"{ORIGIN}{uid}" for uid in (1, 3, 4)]
        assert server.mails[2].flags == {r"\Flagged"}
        # The next hourly look finds it well.
        server.always("BODIES", None)
        await until(lambda: len(desk.origins()) == 4)
    assert desk.cursor.load().skipped == {}  # type: ignore[union-attr]


async def test_a_mail_whose_size_breaks_the_connection_holds_up_no_other(server: Server, tmp_path: Path) -> None:
    server.always("SIZES", on_uid(2, silent))
    async with Desk(tmp_path, server).watching() as desk:
        await until(lambda: len(desk.origins()) == 2)
        server.deliver(mail(4))
        await until(lambda: len(desk.origins()) == 3)
    assert [event.uid for event in desk.told("quarantine")] == [2]


async def test_a_mail_that_is_listed_but_withheld_holds_up_no_other(server: Server, tmp_path: Path) -> None:
    async def without(session: object, answer: bytes) -> None:
        lines = answer.splitlines(keepends=True)
        session.writer.write(b"".join(line for line in lines if b"UID 2 " not in line))  # type: ignore[attr-defined]

    server.always("SIZES", without)
    async with Desk(tmp_path, server).watching() as desk:
        await until(lambda: len(desk.origins()) == 2)
    assert desk.origins() == [f"{ORIGIN}{uid}" for uid in (1, 3)]
    assert list(desk.cursor.load().skipped) == [2]  # type: ignore[union-attr]


async def test_a_mail_over_the_limit_is_told_and_flagged_and_its_header_stands_for_it(server: Server, tmp_path: Path) -> None:
    """Nobody refuses it to its sender, so agents must hear of it (the provider has taken it)."""
    server.mails[2].size = 30_000_000
    async with Desk(tmp_path, server).watching() as desk:
        await until(lambda: len(desk.origins()) == 3)
        await desk.rests()
    assert [(event.uid, "30000000" in event.detail) for event in desk.told("oversize")] == [(2, True)]
    assert server.mails[2].flags == {r"\Flagged"}
    asked = [c for c in server.said if "BODY.PEEK" in c and "2" in c.split(" ")[3].split(",")]
    assert len(asked) == 1 and "<0.65536>" in asked[0]
    (raw,) = [raw for envelope, raw in desk.stored() if envelope.origin == f"{ORIGIN}2"]
    assert b"Subject: mail 2\r\n" in raw and b"30.0 MB" in raw and b"stars" not in raw
    # A restart does not repeat it. Then somebody raises the limit.
    async with Desk(tmp_path, server).watching() as desk:
        await desk.rests()
        assert len(desk.origins()) == 3
    async with Desk(tmp_path, server, max_size=40_000_000).watching() as desk:
        await until(lambda: len(desk.origins()) == 4)
    assert desk.stored()[-1][1] == server.mails[2].raw


@given(head=st.binary(max_size=300), more=st.sampled_from([b"", b"Content-Type: text/html;\r\n charset=x\r\nX-Y: z\r\n\r\nbody"]))
def test_a_stand_in_is_a_mail_whatever_it_stands_for(head: bytes, more: bytes) -> None:
    found = parse(stub(head + more, "folder INBOX of mailbox box", 30_000_000, 26_000_000))
    assert "30.0 MB" in found.text
    assert found.opaque is None


async def test_a_server_that_dies_of_flags_and_moves_is_not_asked_for_ever(server: Server, tmp_path: Path) -> None:
    server.always("STORE", closed)
    server.always("MOVE", closed)
    async with Desk(tmp_path, server, move_to="Processed").watching() as desk:
        await desk.has(1, 2, 3)
        server.deliver(mail(4))
        await desk.has(1, 2, 3, 4)


# --- Numbers that change their meaning ------------------------------------------------------


async def test_a_new_uidvalidity_reads_all_again_and_marks_it(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
        server.uidvalidity = 1_800_000_000
        server.drop_all()
        await until(lambda: len(desk.origins()) == 6)
        await desk.rests()
        server.deliver(mail(4))
        await until(lambda: len(desk.origins()) == 7)
    new = "imap://support/INBOX;UIDVALIDITY=1800000000/;UID="
    assert desk.origins()[3:] == [f"{new}1;RESCAN", f"{new}2;RESCAN", f"{new}3;RESCAN", f"{new}4"]
    assert len(desk.told("rescan")) == 1


async def test_a_break_in_the_middle_of_a_rescan_keeps_its_marks(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server, batch=1).watching() as desk:
        await desk.has(1, 2, 3)
    server.uidvalidity = 1_800_000_000
    server.once("BODIES", before(b""), closed)
    async with Desk(tmp_path, server, batch=1).watching() as desk:
        await until(lambda: len(desk.origins()) == 6)
    assert [origin.endswith(";RESCAN") for origin in desk.origins()] == [False] * 3 + [True] * 3


async def test_numbers_that_run_backwards_start_an_epoch(server: Server, tmp_path: Path) -> None:
    """A server restored from a backup gives known numbers to unknown mails."""
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
        server.mails, server.uidnext = {1: server.mails[1]}, 3
        server.drop_all()
        await until(lambda: len(desk.origins()) == 4)
        await desk.rests()
        server.deliver(mail(30), uid=3)
        await until(lambda: len(desk.origins()) == 5)
    assert desk.origins()[3:] == [f"{ORIGIN}1;EPOCH=1;RESCAN", f"{ORIGIN}3;EPOCH=1"]
    assert desk.stored()[-1][1] == mail(30)


async def test_another_mail_under_a_number_we_read_is_noticed_by_its_date(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
    server.mails[3] = Kept(mail(33), date="08-Nov-2026 10:00:00 +0100")
    server.deliver(mail(4))
    async with Desk(tmp_path, server).watching() as desk:
        await until(lambda: len(desk.origins()) == 7)
        await desk.rests()
    assert mail(33) in [raw for _, raw in desk.stored()]
    assert mail(4) in [raw for _, raw in desk.stored()]


async def test_a_date_told_in_another_zone_is_the_same_date(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
        for kept in server.mails.values():
            kept.date = "07-Nov-2026 10:30:00 +0100"
        server.drop_all()
        await until(lambda: len(desk.told("connected")) == 2)
        await desk.has(1, 2, 3)


async def test_dates_that_move_by_themselves_do_not_make_us_read_for_ever(server: Server, tmp_path: Path) -> None:
    async with Desk(tmp_path, server).watching() as desk:
        await desk.has(1, 2, 3)
        for day in range(8, 13):
            for kept in server.mails.values():
                kept.date = f"{day:02}-Nov-2026 10:30:00 +0000"
            await desk.rests()
            connected = len(desk.told("connected"))
            server.drop_all()
            await until(lambda connected=connected: len(desk.told("connected")) > connected)  # type: ignore[misc]
        await desk.rests()
    assert len(desk.told("rescan")) == 1
    assert len(desk.origins()) == 6


async def test_a_mail_that_shows_up_below_the_last_one_is_taken(server: Server, tmp_path: Path) -> None:
    del server.mails[2]
    async with Desk(tmp_path, server, pace=replace(QUICK, rescan=0.1), poll_seconds=0.05).watching() as desk:
        await desk.has(1, 3)
        server.deliver(mail(2), uid=2)
        await desk.has(1, 2, 3)
    assert desk.cursor.load().uid == 3  # type: ignore[union-attr]


async def test_after_a_rescan_the_mail_before_our_time_stays_left_alone(server: Server, tmp_path: Path) -> None:
    server.mails[1].date = "01-Jan-2019 00:00:00 +0000"
    async with Desk(tmp_path, server, start="new").watching() as desk:
        await desk.rests()
        now = datetime.now(UTC).strftime("%d-%b-%Y %H:%M:%S +0000")
        server.deliver(mail(4), date=now)
        await desk.has(4)
        server.mails[2].date = server.mails[3].date = "01-Jan-2020 00:00:00 +0000"
        server.uidvalidity += 1
        server.drop_all()
        await until(lambda: len(desk.origins()) == 2)
        await desk.rests()
    assert [raw for _, raw in desk.stored()] == [mail(4), mail(4)]
    assert server.mails[1].flags == set()


# --- People in the same mailbox -------------------------------------------------------------


async def test_who_clears_seen_brings_nothing_back_and_who_sets_it_takes_nothing_away(server: Server, tmp_path: Path) -> None:
    for kept in server.mails.values():
        kept.flags.add(r"\Seen")
    async with Desk(tmp_path, server, pace=replace(QUICK, rescan=0.05), poll_seconds=0.05).watching() as desk:
        await desk.has(1, 2, 3)
        for kept in server.mails.values():
            kept.flags.discard(r"\Seen")
        server.deliver(mail(4))
        await desk.has(1, 2, 3, 4)
        server.drop_all()
        await until(lambda: len(desk.told("connected")) == 2)
        await desk.has(1, 2, 3, 4)
    assert [r"\Seen" in kept.flags for kept in server.mails.values()] == [False, False, False, True]


@pytest.mark.parametrize("step", ["SEARCH", "SIZES", "BODIES", "STORE", "MOVE"])
async def test_who_removes_a_mail_at_any_moment_holds_up_no_other(server: Server, tmp_path: Path, step: str) -> None:
    async def removing(session: object, answer: bytes) -> None:
        server.mails.pop(2, None)
        session.writer.write(answer)  # type: ignore[attr-defined]

    server.once(step, removing)
    async with Desk(tmp_path, server, move_to="Processed").watching() as desk:
        await until(lambda: {f"{ORIGIN}1", f"{ORIGIN}3"} <= set(desk.origins()))
        server.deliver(mail(4))
        await until(lambda: f"{ORIGIN}4" in desk.origins())
    assert not desk.told("quarantine")
    assert max(Counter(desk.origins()).values()) == 1


# --- Our own death --------------------------------------------------------------------------


async def die_and_come_back(server: Server, root: Path, at: int) -> bool:
    """Kill the process at disk operation ``at``, check, start anew, check; False if it outlived that."""
    disk = FaultyDisk()
    desk = Desk(root, server, disk)
    disk.error, disk.at, disk.count = DeadError(), at, 0
    task = asyncio.create_task(desk.mailbox.run())
    await until(lambda: task.done() or (len(server.mails) == len(desk.origins()) and any(s.idling for s in server._sessions)))
    died = task.done()
    task.cancel()
    with contextlib.suppress(BaseException):
        await task
    state = CursorFile(root / "INBOX.json").load()
    desk = Desk(root, server)
    there = set(desk.origins())
    passed = [uid for uid in server.mails if state and uid <= state.uid]
    assert {f"{ORIGIN}{uid}" for uid in passed} <= there, "the cursor passed a mail that is not durable"
    async with desk.watching():
        await until(lambda: {f"{ORIGIN}{uid}" for uid in server.mails} <= set(desk.origins()))
        await until(lambda: all("$MailwicketDone" in kept.flags for kept in server.mails.values()))
    origin_of: dict[bytes, set[str]] = {}
    for envelope, raw in desk.stored():
        origin_of.setdefault(raw, set()).add(envelope.origin)
    assert all(len(origins) == 1 for origins in origin_of.values())
    # At most the mails in hand come twice, and downstream knows them by their origins.
    assert max(Counter(desk.origins()).values()) <= 2
    return died


async def test_killed_at_any_disk_operation_each_mail_comes_with_one_origin(tmp_path: Path) -> None:
    for at in range(200):
        async with Server().running() as server:
            for number in (1, 2):
                server.deliver(mail(number))
            if not await die_and_come_back(server, tmp_path / str(at), at):
                break
    assert 15 < at < 199


@pytest.mark.parametrize("step", ["SELECT", "SIZES", "BODIES", "STORE", "MOVE"])
async def test_stopped_at_any_step_of_the_conversation_nothing_is_lost(server: Server, tmp_path: Path, step: str) -> None:
    reached = asyncio.Event()

    async def hanging(session: object, answer: bytes) -> None:
        reached.set()
        await session.reader.read()  # type: ignore[attr-defined]

    server.once(step, hanging)
    slow = replace(QUICK, silence=30)
    async with Desk(tmp_path, server, move_to="Processed", pace=slow).watching():
        await asyncio.wait_for(reached.wait(), 20)
    async with Desk(tmp_path, server, move_to="Processed").watching() as desk:
        await desk.has(1, 2, 3)
        await until(lambda: not server.mails)


@pytest.mark.parametrize("operation", ["create", "write", "fsync_dir"])
async def test_a_full_disk_is_waited_out(server: Server, tmp_path: Path, operation: str) -> None:
    disk = FaultyDisk()
    async with Desk(tmp_path, server, disk).watching() as desk:
        await desk.has(1, 2, 3)
        disk.error, disk.only = OSError(28, "No space left on device"), operation
        server.deliver(mail(4))
        await until(lambda: len(desk.told("lost")) > 2)
        disk.error = None
        desk.spool.broken = None  # What the service would do by starting anew.
        await desk.has(1, 2, 3, 4)


# --- Transport and login --------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def server_side(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_tls_with_the_right_certificate(authority: trustme.CA, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with Server().running(server_side(authority, "localhost")) as server:
        server.deliver(mail(1))
        changes = {"tls": "implicit", "host": "localhost", "cafile": str(tmp_path / "ca.pem")}
        async with Desk(tmp_path / "desk", server, **changes).watching() as desk:
            await desk.has(1)
    assert desk.stored()[0][0].tls


@pytest.mark.parametrize("trouble", ["name", "authority", "plain"])
async def test_no_password_goes_to_a_server_that_is_not_who_it_should_be(
    authority: trustme.CA, tmp_path: Path, trouble: str
) -> None:
    trusted = trustme.CA() if trouble == "authority" else authority
    trusted.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    tls = None if trouble == "plain" else server_side(authority, "other.example" if trouble == "name" else "localhost")
    async with Server().running(tls) as server:
        changes = {"tls": "implicit", "host": "localhost", "cafile": str(tmp_path / "ca.pem")}
        async with Desk(tmp_path / "desk", server, **changes).watching() as desk:
            await until(lambda: len(desk.told("lost")) > 2)
    assert (server.logins, desk.origins()) == (0, [])


async def test_a_tls_server_asked_in_the_clear_is_given_up(authority: trustme.CA, tmp_path: Path) -> None:
    async with Server().running(server_side(authority, "localhost")) as server, Desk(tmp_path, server).watching() as desk:
        await until(lambda: len(desk.told("lost")) > 1)
    assert server.said == []


async def test_a_wrong_password_is_said_without_saying_it(server: Server, tmp_path: Path) -> None:
    server.always("LOGIN", refused(b"NO you said canary-7 and that is wrong"))
    async with Desk(tmp_path, server, password="canary-7").watching() as desk:
        await until(lambda: desk.told("lost"))
    detail = desk.told("lost")[0].detail
    assert "login as support refused" in detail
    assert "canary" not in detail


@pytest.mark.parametrize("fault", [None, other_tag, noise, halved], ids=["none", "other tag", "noise", "halved"])
async def test_no_log_line_holds_a_password_or_a_mail(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Fault | None
) -> None:
    caplog.set_level(logging.DEBUG)
    server.deliver(mail(4, "canary-body"))
    server.password = 'canary"pass\\word'
    if fault:
        server.once("LOGIN", fault)
    async with Desk(tmp_path, server, password=server.password).watching() as desk:
        await desk.has(1, 2, 3, 4)
    text = caplog.text + "".join(event.detail for event in desk.events)
    assert "spooled" in text
    assert not [word for word in ("canary", "pass\\word", "Ann <") if word in text]


@pytest.mark.parametrize("changes", [
    {"host": "imap.example", "tls": "none"}, {"password": None}, {"idle_seconds": 1200}, {"batch": 5000},
    {"oauth": OAuthSettings(token_url="https://x", client_id="y")},
])
def test_settings_that_would_be_unsafe_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="mailbox support"):
        replace(SETTINGS, **changes)  # type: ignore[arg-type]


# --- XOAUTH2 --------------------------------------------------------------------------------


class Endpoint:
    """A token endpoint: hands out token-1, token-2 … or what ``say`` holds."""

    def __init__(self) -> None:
        self.forms: list[dict[str, list[str]]] = []
        self.say: tuple[int, bytes, dict[str, str]] | None = None
        self.expires_in: object = 3600
        self.rotate = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.forms.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
                number = len(outer.forms)
                answer: dict[str, object] = {"access_token": f"token-{number}", "expires_in": outer.expires_in}
                if outer.rotate:
                    answer["refresh_token"] = f"refresh-{number}"
                code, body, headers = outer.say or (200, json.dumps(answer).encode(), {})
                self.send_response(code)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}/token"

    def settings(self) -> OAuthSettings:
        return OAuthSettings(token_url=self.url, client_id="id", client_secret="canary-s", refresh_token="canary-r")

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    one = Endpoint()
    yield one
    one.stop()


async def test_a_withdrawn_token_is_replaced_at_once(server: Server, tmp_path: Path, endpoint: Endpoint) -> None:
    server.tokens = {"token-2"}
    async with Desk(tmp_path, server, password=None, oauth=endpoint.settings()).watching() as desk:
        await desk.has(1, 2, 3)
        assert not desk.told("lost")
    assert [form["grant_type"] for form in endpoint.forms] == [["refresh_token"]] * 2
    assert endpoint.forms[0]["refresh_token"] == ["canary-r"]


async def test_a_refused_account_is_tried_again_with_fresh_tokens(
    server: Server, tmp_path: Path, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with Desk(tmp_path, server, password=None, oauth=endpoint.settings()).watching() as desk:
        await until(lambda: len(desk.told("lost")) > 1)
        server.tokens = {f"token-{n}" for n in range(1000)}
        await desk.has(1, 2, 3)
    assert "canary" not in caplog.text
    assert "token-" not in caplog.text


async def test_a_token_is_kept_until_shortly_before_its_end(endpoint: Endpoint) -> None:
    source = TokenSource(endpoint.settings())
    assert [await source.token() for _ in range(3)] == ["token-1"] * 3
    source.refused()
    endpoint.expires_in = "30"
    assert [await source.token() for _ in range(2)] == ["token-2", "token-3"]


async def test_a_rotated_refresh_token_replaces_the_old_one_and_is_told(endpoint: Endpoint) -> None:
    endpoint.rotate, endpoint.expires_in = True, 1
    told: list[str] = []
    source = TokenSource(endpoint.settings(), keep=told.append)
    for _ in range(2):
        await source.token()
    assert endpoint.forms[1]["refresh_token"] == ["refresh-1"]
    assert told == ["refresh-1", "refresh-2"]


async def test_without_a_refresh_token_the_client_speaks_for_itself(endpoint: Endpoint) -> None:
    settings = replace(endpoint.settings(), refresh_token="", scope="https://outlook.example/.default")
    assert await TokenSource(settings).token() == "token-1"
    assert endpoint.forms == [{
        "client_id": ["id"], "client_secret": ["canary-s"], "grant_type": ["client_credentials"],
        "scope": ["https://outlook.example/.default"],
    }]


@pytest.mark.parametrize("say", [
    (400, b'{"error": "invalid_grant", "error_description": "canary"}', {}),
    (500, b"canary", {}),
    (200, b"canary", {}),
    (200, b'{"access_token": "canary\\r\\nA1 LOGOUT"}', {}),
    (200, b'["canary"]', {}),
    (302, b"", {"Location": "http://127.0.0.1:9/canary"}),
])
async def test_an_endpoint_that_refuses_is_quoted_only_as_far_as_it_is_safe(
    endpoint: Endpoint, say: tuple[int, bytes, dict[str, str]]
) -> None:
    endpoint.say = say
    with pytest.raises(TokenRefused) as caught:
        await TokenSource(endpoint.settings()).token()
    assert "canary" not in str(caught.value)
    assert ("invalid_grant" in str(caught.value)) == (say[0] == 400)


def test_secrets_go_only_to_https() -> None:
    with pytest.raises(ValueError, match="use https"):
        OAuthSettings(token_url="http://login.example/token", client_id="x")


# --- Pieces ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "wire"), [
    ("INBOX", '"INBOX"'), ("Sent Items", '"Sent Items"'), ('a"b\\c', '"a\\"b\\\\c"'), ("R&D", '"R&-D"'),
    # RFC 3501 §5.1.3 has the first; the second is French.
    ("~peter/mail/台北/日本語", '"~peter/mail/&U,BTFw-/&ZeVnLIqe-"'), ("Éléments envoyés", '"&AMk-l&AOk-ments envoy&AOk-s"'),
])
def test_folder_names_are_modified_utf_7(name: str, wire: str) -> None:
    assert folder_name(name) == wire


@pytest.mark.parametrize(("text", "seconds"), [
    (b" 7-Nov-2026 09:30:00 +0100", 1_794_040_200), (b"07-Nov-2026 08:30:00 +0000", 1_794_040_200),
    (b"7-nov-2026 08:30:00 +0000", 1_794_040_200), (b"31-Feb-2026 08:30:00 +0000", 0), (b"", 0),
    (b"07-Nov-99999999 08:30:00 +0000", 0), (b"\xff", 0), (b"01-Jan-0001 00:00:00 +0000", 0),
])
def test_internal_dates(text: bytes, seconds: int) -> None:
    assert internal_date(text) == seconds


def test_first_date_is_a_date() -> None:
    assert internal_date(FIRST_DATE.encode()) > 0
    assert "IDLE" in CAPABILITIES


LINES = st.lists(st.one_of(
    st.binary(max_size=60), st.binary(max_size=20).map(bytearray),
    st.sampled_from([b"1 FETCH (UID 1 BODY[] {3}", b"* 2 FETCH (FLAGS (UID 7))", b")", bytearray(b"raw")]),
), max_size=12)


@given(LINES)
def test_any_fetch_answer_is_read_and_only_literals_are_bodies(lines: list[bytes | bytearray]) -> None:
    literals = [bytes(line) for line in lines if isinstance(line, bytearray)]
    assert all(body is None or body in literals for _, body in mails(lines))


def test_a_uid_behind_the_body_counts_as_well() -> None:
    lines = [b"1 FETCH (BODY[] {3}", bytearray(b"abc"), b" UID 5)", b"2 FETCH (UID 6 BODY[] NIL)"]
    assert list(mails(lines)) == [(b"1 FETCH (BODY[] {3}  UID 5)", b"abc"), (b"2 FETCH (UID 6 BODY[] NIL)", None)]


@given(st.lists(st.integers(1, 300), max_size=60))
def test_a_cursor_only_grows_and_remembers_the_last_hundred(uids: list[int]) -> None:
    state = State(uidvalidity=1)
    for uid in uids:
        state = state.after(uid, 5)
    last = max(uids, default=0)
    assert state.uid == last
    assert set(state.recent) <= {uid for uid in uids if uid > last - 100}


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", b'{"uidvalidity": 1, "version": 2}'])
def test_a_damaged_cursor_is_not_taken_for_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(Damaged, match=r"c\.json"):
        CursorFile(tmp_path / "c.json")


def test_a_cursor_that_could_not_be_written_stays_where_it_was(tmp_path: Path) -> None:
    for at in range(5):
        disk = FaultyDisk()
        cursor = CursorFile(tmp_path / f"{at}.json", disk)
        cursor.begin(State(uidvalidity=1))
        disk.error, disk.at, disk.count = OSError(5, "Input/output error"), at, 0
        with contextlib.suppress(OSError):
            cursor.advance(1, {7: 0})
        assert disk.hit
        # The file may be ahead of us, if only its name's fsync failed; never behind.
        assert CursorFile(tmp_path / f"{at}.json").load() in (cursor.load(), State(uidvalidity=1).after(7, 0))
