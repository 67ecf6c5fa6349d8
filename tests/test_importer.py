"""``mailwicket import`` from the command line to the reports, with real files and a real store."""

from __future__ import annotations

import asyncio
import json
import mailbox
import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

import reports
from gateway import cli
from gateway import config as configuration
from gateway.archive_sources import accounts
from gateway.demo import TOML, desk
from gateway.edge import lots
from gateway.edge.control import ask
from gateway.errors import Damaged, StateError
from gateway.importer import Options, run
from tests.crash.process import Books, Store

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ANN, BEN, ANNA, SUPPORT = "ann@cust.example", "ben@shop.example", "anna@acme.example", "support@acme.example"
HOUR = timedelta(hours=1)


@pytest.fixture
def config(tmp_path: Path) -> configuration.Config:
    file = tmp_path / "mailwicket.toml"
    file.write_text(TOML.format(state=tmp_path / "state", out=tmp_path / "out", smtp=0, lmtp=0).replace(
        'lmtp = "127.0.0.1:0"', 'lmtp = "off"'
    ))
    return configuration.load(file)


def mail(name: str, sender: str, to: str, at: timedelta, answers: str = "", subject: str = "Printer") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, to, subject
    message["Date"] = START + at
    message["Message-ID"] = f"<{name}@x.example>"
    if answers:
        message["In-Reply-To"] = f"<{answers}@x.example>"
    message.set_content(f"This is {name}.\n")
    return message


# Written by us, so that every figure below can be worked out by hand:
#   printer   asked Monday 9:00, answered 11:30; thanks an hour later     first response 2:30, then open until 30 days later
#   invoice   asked Tuesday 9:00, an absence notice at 9:01, a note at 10:00, answered 15:00               6:00
#   nobody    asked Wednesday 9:00, never answered
#   again     asked Thursday 9:00, answered 9:10, asked again 40 days later, answered 1:00 after that      0:10 and 1:00
DAY = 24 * HOUR
INBOX = [
    mail("printer", ANN, SUPPORT, 0 * HOUR), mail("thanks", ANN, SUPPORT, 3.5 * HOUR, "printer-a", "Re: Printer"),
    mail("invoice", BEN, SUPPORT, DAY, subject="Invoice"), mail("nobody", BEN, SUPPORT, 2 * DAY, subject="Nobody there?"),
    mail("again", ANN, SUPPORT, 3 * DAY, subject="Toner"), mail("late", ANN, SUPPORT, 43 * DAY, "again-a", "Re: Toner"),
    mail("note", "bert@acme.example", ANNA, DAY + HOUR, "invoice", "Re: Invoice"),
]
SENT = [
    mail("printer-a", ANNA, ANN, 2.5 * HOUR, "printer", "Re: Printer"), mail("invoice-a", "boss@home.example", BEN, DAY + 6 * HOUR, "invoice"),
    mail("again-a", SUPPORT, ANN, 3 * DAY + HOUR / 6, "again"), mail("late-a", ANNA, ANN, 43 * DAY + HOUR, "late"),
]
AWAY = mail("away", SUPPORT, BEN, DAY + HOUR / 60, "invoice", "Out of office")
AWAY["Auto-Submitted"] = "auto-replied"
SENT.append(AWAY)


def write(folder: Path) -> list[str]:
    """The golden archive as an mbox and a Maildir; the names of both."""
    box = mailbox.mbox(folder / "inbox.mbox")
    for message in INBOX:
        box.add(message)
    box.close()
    maildir = mailbox.Maildir(folder / "Sent")
    for message in SENT:
        maildir.add(message)
    maildir.close()
    return [str(folder / "inbox.mbox"), str(folder / "Sent")]


def imported(config: configuration.Config, sources: Sequence[str], *arguments: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What the command tells a program."""
    capsys.readouterr()
    assert cli.main(["import", "--json", "--shadow", "--config", str(config.file), *arguments, *sources]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    row = json.loads(line)
    del row["seconds"]
    return dict(row)


def stored(config: configuration.Config, sql: str) -> list[tuple[Any, ...]]:
    store = Store.open(config.state, read_only=True)
    try:
        books = Books(store)
        books.assert_folded()
        books.assert_seq_unbroken()
        spool = config.state / "spool"
        kept = sorted(p.name for p in (spool / "done").glob("*/*/*"))
        assert [i for (i,) in books.rows("SELECT spool_id FROM message ORDER BY 1")] == kept
        assert [p for room in ("in", "bad", "tmp") for p in (spool / room).iterdir()] == []
        return books.rows(sql)
    finally:
        store.close()


def test_response_times_of_the_first_day_are_those_worked_out_by_hand(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = write(tmp_path)
    told = imported(config, sources, capsys=capsys)
    assert told == {"read": 12, "new": 12, "known": 0, "tickets": 5, "opaque": 0, "unreadable": []}
    assert stored(config, "SELECT count(*) FROM outbox") == [(0,)]
    assert cli.main(["snapshot", "--config", str(config.file)]) == 0      # no gateway ran yet, and none need run
    with reports.open(config.state / "snapshots") as snapshot:
        rows = reports.first_response(snapshot).select("outcome", "asked_at", "elapsed").rows()
        day = START
        assert rows == [
            ("answered", day, 2.5 * HOUR), ("answered", day + DAY, 6 * HOUR), ("no_reply", day + 2 * DAY, None),
            ("answered", day + 3 * DAY, HOUR / 6), ("answered", day + 43 * DAY, HOUR),
        ]
        summary = reports.first_response_summary(snapshot).to_dicts()[0]
        assert (summary["asked"], summary["answered"], summary["no_reply"], summary["waiting"]) == (5, 4, 1, 0)
        days = {row[0].isoformat(): row[1:] for row in reports.arrivals_and_closures(snapshot).rows()}
        assert days["2026-03-03"] == (1, 0, 1, 0)       # invoice came and was answered for good
        assert days["2026-03-02"] == (1, 0, 0, 0)       # thanks came within 7 days, so the answer did not solve
        assert reports.open_tickets(snapshot).height == 0
    assert not list((tmp_path / "out").glob("*/*"))


def test_a_second_run_and_a_third_archive_change_nothing(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = write(tmp_path)
    assert imported(config, sources, capsys=capsys)["new"] == 12
    folder = tmp_path / "mails"
    folder.mkdir()
    for number, message in enumerate(INBOX):
        (folder / f"{number}.eml").write_bytes(message.as_bytes().replace(b"\n", b"\r\n"))
    before = stored(config, "SELECT count(*), (SELECT count(*) FROM event) FROM message")
    assert imported(config, [*sources, str(folder)], capsys=capsys) == {
        "read": 19, "new": 0, "known": 19, "tickets": 0, "opaque": 0, "unreadable": [],
    }
    assert stored(config, "SELECT count(*), (SELECT count(*) FROM event) FROM message") == before


def test_the_inbox_today_and_the_sent_folder_tomorrow_tell_the_same_history(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inbox, sent = write(tmp_path)
    imported(config, [inbox], capsys=capsys)
    imported(config, [sent], capsys=capsys)
    life = "SELECT created_at, first_reply_at, solved_at, status FROM ticket WHERE status <> 'void' ORDER BY created_at"
    in_parts = stored(config, life)
    other = configuration.load(config.file, state=tmp_path / "other")
    run(other, Options(sources=(inbox, sent), shadow=True, json=True))
    assert stored(other, life) == in_parts
    assert stored(config, "SELECT count(*) FROM message WHERE ticket NOT IN (SELECT id FROM ticket WHERE status <> 'void')") == [(0,)]


def test_a_lost_database_comes_back_from_the_journal_with_every_raw_mail(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(config, write(tmp_path), capsys=capsys)
    imported(config, [str(tmp_path / "inbox.mbox")], capsys=capsys)

    def dump() -> str:
        store = Store.open(config.state, read_only=True)
        try:
            assert sum(1 for _ in Books(store).raw()) == 12
            return store.dump_hash
        finally:
            store.close()

    before = dump()
    for file in config.state.glob("*.duckdb*"):
        file.unlink()
    from gateway.edge.spool import Spool
    from gateway.service import open_books

    books = open_books(config, Spool(config.state / "spool"))
    assert books.store.lost == []
    books.close()
    assert dump() == before


async def test_a_desk_at_work_takes_it_beside_its_mail_only_if_it_is_told_so_and_tells_nobody(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = write(tmp_path)
    async with desk(config) as gateway, asyncio.timeout(60):
        first = b"From: ann@cust.example\r\nTo: support@acme.example\r\nSubject: Live\r\nMessage-ID: <live@x.example>\r\n\r\nHello.\r\n"
        await aiosmtplib.send(first, sender=ANN, recipients=[SUPPORT], hostname="127.0.0.1", port=int(gateway.doors["smtp"]), start_tls=False)
        while len(list((tmp_path / "out" / "new").glob("*"))) < 3:
            await asyncio.sleep(0.05)
        with pytest.raises(StateError, match="1 ticket of its own.*--yes"):
            await asyncio.to_thread(run, config, Options(sources=tuple(sources), shadow=True))
        more = mailbox.mbox(tmp_path / "more.mbox")
        more.add(mail("old", ANNA, ANN, 5 * HOUR, "live"))
        more.close()
        told = await asyncio.to_thread(
            lambda: imported(config, [*sources, str(tmp_path / "more.mbox")], "--yes", capsys=capsys)
        )
        assert (told["new"], told["tickets"]) == (13, 5)
        rows = await asyncio.to_thread(lambda: list(ask(config.control_socket, "tickets", {})))
        assert {r["status"] for r in rows if r["tags"] != "imported"} == {"new"}    # the old answer moved nothing
        assert len(rows) == 6
        shown = await asyncio.to_thread(lambda: list(ask(config.control_socket, "show", {"key": rows[-1]["key"]})))
        assert shown
        assert not list((config.state / lots.FOLDER).iterdir())
        assert len(list((tmp_path / "out" / "new").glob("*"))) == 3
    assert stored(config, "SELECT count(*) FROM event WHERE kind = 'agent_reply' AND ticket = 1") == [(1,)]


def test_a_customer_goes_on_where_the_archive_ended(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer to an imported mail of today finds its ticket, one to a mail of years ago begins a new one."""
    now = datetime.now(UTC)
    box = mailbox.mbox(tmp_path / "fresh.mbox")
    box.add(mail("fresh", ANN, SUPPORT, now - START - HOUR))
    box.add(mail("stale", ANN, SUPPORT, now - START - 90 * DAY, subject="Old"))
    box.close()
    imported(config, [str(tmp_path / "fresh.mbox")], capsys=capsys)

    async def answered() -> list[dict[str, Any]]:
        async with desk(config) as gateway, asyncio.timeout(60):
            for name in ("fresh", "stale"):
                raw = f"From: {ANN}\r\nTo: {SUPPORT}\r\nSubject: And?\r\nMessage-ID: <{name}-2@x.example>\r\nIn-Reply-To: <{name}@x.example>\r\n\r\nWell?\r\n"
                await aiosmtplib.send(raw.encode(), sender=ANN, recipients=[SUPPORT], hostname="127.0.0.1", port=int(gateway.doors["smtp"]), start_tls=False)
            while True:
                rows = await asyncio.to_thread(lambda: list(ask(config.control_socket, "tickets", {})))
                if sum(r["messages"] for r in rows) == 4:
                    return rows
                await asyncio.sleep(0.05)

    rows = asyncio.run(answered())
    assert sorted((r["subject"], r["status"], r["messages"]) for r in rows) == [("And?", "new", 1), ("Old", "closed", 1), ("Printer", "new", 2)]


async def test_years_that_were_imported_within_the_hour_are_no_flood(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eleven unanswered tickets of one customer: his mail of today opens its own, and is acknowledged."""
    box = mailbox.mbox(tmp_path / "box")
    for number in range(11):
        box.add(mail(f"old{number}", ANN, SUPPORT, datetime.now(UTC) - START - (number + 1) * DAY))
    box.close()
    await asyncio.to_thread(lambda: imported(config, [str(tmp_path / "box")], capsys=capsys))
    async with desk(config) as gateway, asyncio.timeout(60):
        raw = f"From: {ANN}\r\nTo: {SUPPORT}\r\nSubject: Today\r\nMessage-ID: <today@x.example>\r\n\r\nHello.\r\n".encode()
        await aiosmtplib.send(raw, sender=ANN, recipients=[SUPPORT], hostname="127.0.0.1", port=int(gateway.doors["smtp"]), start_tls=False)
        while not any(b"ann@cust.example" in p.read_bytes() for p in (tmp_path / "out" / "new").glob("*")):
            await asyncio.sleep(0.05)
        rows = await asyncio.to_thread(lambda: list(ask(config.control_socket, "tickets", {})))
    assert [r["subject"] for r in rows if r["tags"] != "imported"] == ["Today"]


def test_what_cannot_be_read_is_told_and_stops_nothing(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mails"
    folder.mkdir()
    (folder / "1.eml").write_bytes(bytes(INBOX[0]))
    (folder / "2.bin").write_bytes(bytes(range(256)) * 9)
    deep = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\n\n--%d\n' % (n, n) for n in range(400))
    (folder / "3.eml").write_bytes(b"From: ann@cust.example\nMessage-ID: <deep@x.example>\n" + deep)
    told = imported(config, [str(folder)], capsys=capsys)
    assert (told["read"], told["new"], told["opaque"]) == (3, 2, 1)
    assert [(Path(u["name"]).name, u["why"]) for u in told["unreadable"]] == [("2.bin", "no mail: it has no header")]
    assert cli.main(["import", "--config", str(config.file), str(folder)]) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "3 mails read: 0 new, 2 known already; 0 tickets." in page
    assert "2.bin: no mail: it has no header" in page


def test_a_conversation_that_fails_is_named_and_the_others_are_stored(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway import recorder

    right = recorder.record

    def wrong(conversation: Any, *args: Any, **more: Any) -> Any:
        if conversation[0].mail.message_id == "nobody@x.example":
            raise KeyError("a bug")
        return right(conversation, *args, **more)

    monkeypatch.setattr(recorder, "record", wrong)
    told = imported(config, write(tmp_path), capsys=capsys)
    assert told["new"] == 11
    assert [u["why"] for u in told["unreadable"]] == ["KeyError: 'a bug'"]
    monkeypatch.undo()
    assert imported(config, [str(tmp_path / "inbox.mbox"), str(tmp_path / "Sent")], capsys=capsys)["new"] == 1


def test_a_dry_run_threads_and_writes_nothing(config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sources = tuple(write(tmp_path))
    assert run(config, Options(sources=sources, dry_run=True, json=True)) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    tickets = {row["message_id"].partition("@")[0]: row["ticket"] for row in rows}
    assert len(tickets) == 12
    assert tickets["printer"] == tickets["printer-a"] == tickets["thanks"] != tickets["nobody"]
    assert run(config, Options(sources=sources, dry_run=True)) == 0
    page = " ".join(capsys.readouterr().out.split())
    assert "12 mails in 4 conversations; nothing was stored." in page
    assert not (tmp_path / "state" / "mailwicket.duckdb").exists()


def test_subjects_thread_only_if_asked_for(config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The guard: a reply that names no mail, between the same people, within 30 days."""
    box = mailbox.mbox(tmp_path / "box")
    for name, sender, to, day, subject in (
        ("q", ANN, SUPPORT, 0, "Toner is empty"), ("a", SUPPORT, ANN, 1, "Re: Toner is empty"),
        ("other", BEN, SUPPORT, 1, "Re: Toner is empty"), ("late", ANN, SUPPORT, 60, "Re: Toner is empty"),
        ("new", ANN, SUPPORT, 2, "Toner is empty"), ("short", ANN, SUPPORT, 3, "Hi"), ("short2", SUPPORT, ANN, 3, "Re: Hi"),
    ):
        box.add(mail(name, sender, to, day * DAY, subject=subject))
    box.close()

    def groups(subject: bool) -> set[frozenset[str]]:
        run(config, Options(sources=(str(tmp_path / "box"),), dry_run=True, json=True, subject=subject))
        found: dict[str, set[str]] = {}
        for line in capsys.readouterr().out.splitlines():
            row = json.loads(line)
            found.setdefault(row["ticket"], set()).add(row["message_id"].partition("@")[0])
        return {frozenset(g) for g in found.values() if len(g) > 1}

    assert groups(subject=False) == set()
    assert groups(subject=True) == {frozenset(("q", "a"))}


def test_a_large_conversation_comes_in_pieces_and_is_one_ticket(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway import archive_index

    monkeypatch.setattr(archive_index, "PIECE_MAILS", 2)
    box = mailbox.mbox(tmp_path / "box")
    box.add(mail("0", ANN, SUPPORT, 0 * HOUR))
    for number in range(1, 7):
        box.add(mail(str(number), ANNA if number % 2 else ANN, ANN if number % 2 else SUPPORT, number * HOUR, str(number - 1)))
    box.close()
    imported(config, [str(tmp_path / "box")], capsys=capsys)
    assert stored(config, "SELECT count(*) FROM ticket WHERE status <> 'void'") == [(1,)]
    assert stored(config, "SELECT count(DISTINCT ticket), count(*) FROM message") == [(1, 7)]


@pytest.mark.parametrize(("arguments", "words"), [
    ([], "name what to import"),
    (["nowhere.mbox"], "nowhere.mbox does not exist"),
    (["imap://mail.example/INBOX"], "write it as imap://user@host/Folder"),
    (["imap://ann:secret@mail.example:99999"], "write it as imap://user@host/Folder"),
    (["imap://ann:secret@mail.example"], "a password there is seen by everybody"),
    (["imap://ann@mail.example"], "name a file with it: --password-file FILE"),
    (["--imap", "nobody"], "no [[mailbox]] has that name; configured: none"),
    (["--queue", "nobody", "{box}"], "--queue nobody: queues are support"),
])
def test_mistakes_are_told_with_their_remedy(
    config: configuration.Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    box = write(tmp_path)[0]
    assert cli.main(["import", "--config", str(config.file), *(a.format(box=box) for a in arguments)]) in (1, 2)
    said = capsys.readouterr().err
    assert words in said
    assert "secret" not in said


def test_addresses_of_accounts_are_read(config: configuration.Config, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\nmore\n")
    found = accounts(config, ("imap://ann%40x.example@mail.example/Sent%20Items", "imaps://ann@127.0.0.1:993", "imap://ann@localhost"), (), tmp_path / "password")
    assert [(a.settings.username, a.settings.port, a.settings.tls, a.folders) for a in found] == [
        ("ann@x.example", 993, "implicit", ("Sent Items",)), ("ann", 993, "implicit", ("INBOX",)), ("ann", 143, "none", ("INBOX",)),
    ]
    assert {a.settings.password for a in found} == {"secret"}


def test_a_lot_is_read_only_from_its_place(config: configuration.Config) -> None:
    for name in ("../mailwicket.toml", "a/b.lot", "x.duckdb", ""):
        with pytest.raises(StateError, match="is no lot"):
            lots.read(config.state, name)
    with pytest.raises(StateError, match="run the import again"):
        lots.read(config.state, "gone.lot")
    (config.state / lots.FOLDER).mkdir(parents=True)
    (config.state / lots.FOLDER / "bad.lot").write_bytes(b"\x93\x01")
    with pytest.raises(Damaged, match="run the import again"):
        lots.read(config.state, "bad.lot")


def test_what_a_killed_import_left_is_swept_and_a_lot_under_way_is_not(config: configuration.Config) -> None:
    folder = config.state / lots.FOLDER
    lots.sweep(config.state)
    folder.mkdir(parents=True)
    for name, age in (("old.lot", 7200), ("new.lot", 0)):
        (folder / name).write_bytes(b"")
        os.utime(folder / name, (time.time() - age,) * 2)
    lots.sweep(config.state)
    assert [p.name for p in folder.iterdir()] == ["new.lot"]
