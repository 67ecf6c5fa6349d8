"""B1: a mailbox on a real Dovecot, watched over TLS: every mail once, whatever people and servers do to it."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from provider import IdentityProvider, ProviderDovecot
from servers import PASSWORD, certificates, free_ports, require_servers, until

from gateway.edge.imap_cursor import CursorFile
from gateway.edge.imap_receive import Mailbox, MailboxEvent
from gateway.edge.imap_settings import MailboxSettings, Pace
from gateway.edge.oauth import OAuthSettings
from gateway.edge.room import Room, RoomLimits
from gateway.edge.spool import Spool

pytestmark = [pytest.mark.journey, pytest.mark.servers]

USER = "anna@acme.example"
QUICK = Pace(first_delay=0.05, last_delay=0.5, breath=0.05)


# --- Servers --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dovecot() -> Iterator[ProviderDovecot]:
    require_servers()
    root = Path(tempfile.mkdtemp(prefix="mailwicket-imap-"))
    root.chmod(0o755)
    with contextlib.ExitStack() as end:
        end.callback(shutil.rmtree, root, ignore_errors=True)
        identity = IdentityProvider(USER)
        end.callback(identity.stop)
        server = ProviderDovecot(root / "dovecot", free_ports(), certificates(root), identity)
        end.callback(server.stop)
        server.start()
        yield server


class Person:
    """Somebody with a mail client at the same mailbox; it logs in for every errand, for the desk is not alone kicked out."""

    def __init__(self, dovecot: ProviderDovecot) -> None:
        self._port = dovecot.ports.imap

    @contextlib.contextmanager
    def at(self, folder: str = "INBOX", *, readonly: bool = False) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self._port, timeout=20) as client:
            client.login(USER, PASSWORD)
            assert client.select(folder, readonly=readonly)[0] == "OK"
            yield client

    def fresh(self, *folders: str) -> None:
        with self.at() as client:
            for folder in folders:
                client.delete(folder)
                assert client.create(folder)[0] == "OK"

    def put(self, folder: str, *raws: bytes) -> None:
        with self.at() as client:
            for raw in raws:
                assert client.append(folder, "", "", raw)[0] == "OK"

    def remove(self, folder: str, number: int) -> None:
        with self.at(folder) as client:
            client.store(str(number), "+FLAGS", r"(\Deleted)")
            client.expunge()

    def flags(self, folder: str) -> list[set[bytes]]:
        with self.at(folder, readonly=True) as client:
            _, found = client.fetch("1:*", "(FLAGS)")
        return [set(imaplib.ParseFlags(line)) - {b"\\Recent"} for line in found if isinstance(line, bytes)]

    def count(self, folder: str) -> int:
        with self.at(folder, readonly=True) as client:
            return len(client.search(None, "ALL")[1][0].split())


@pytest.fixture
def person(dovecot: ProviderDovecot) -> Person:
    one = Person(dovecot)
    one.fresh("Support", "Processed", "Sent")
    return one


def mail(number: int, body: str = "Guten Tag") -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ann <ann@cust.example>", "support@acme.example", f"mail {number} (((("
    made["Message-ID"] = f"<{number}@cust.example>"
    made.set_content(body)
    return made.as_bytes().replace(b"\n", b"\r\n")


class Desk:
    """A watched folder, its spool and its cursor."""

    def __init__(self, root: Path, dovecot: ProviderDovecot, **changes: object) -> None:
        settings = MailboxSettings(
            name="support", host="localhost", port=dovecot.ports.imaps, cafile=str(dovecot.certs.ca), username=USER, password=PASSWORD,
            folder="Support", pace=QUICK,
        )
        self.settings = replace(settings, **changes)  # type: ignore[arg-type]
        self.events: list[MailboxEvent] = []
        self.spool = Spool(root / "spool")
        sent = CursorFile(root / "Sent.json") if self.settings.sent_folder else None
        self.mailbox = Mailbox(
            self.settings, self.spool, CursorFile(root / "Support.json"), rcpt="support@acme.example", sent_cursor=sent,
            room=Room(self.spool, RoomLimits(free_bytes=0, free_inodes=0)), on_event=self.events.append,
        )

    @contextlib.asynccontextmanager
    async def watching(self) -> AsyncIterator[Desk]:
        task = asyncio.create_task(self.mailbox.run())
        try:
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def raws(self) -> Counter[bytes]:
        return Counter(self.spool.read(spool_id)[1] for spool_id in self.spool.waiting())

    def origins(self) -> list[str]:
        return [self.spool.read(spool_id)[0].origin for spool_id in self.spool.waiting()]


async def soon(look: Callable[[], object], what: str) -> None:
    await asyncio.to_thread(until, lambda: look() or None, what)


# --- What happens there ---------------------------------------------------------------------


async def test_mail_is_taken_over_tls_flagged_and_moved_and_keeps_its_octets(
    dovecot: ProviderDovecot, person: Person, tmp_path: Path
) -> None:
    large = mail(2, "0123456789 * ) (\n" * 100_000)
    person.put("Support", mail(1), large)
    desk = Desk(tmp_path, dovecot, move_to="Processed")
    async with desk.watching():
        await soon(lambda: person.count("Processed") == 2, "two mails in Processed")
        person.put("Support", mail(3))
        await soon(lambda: person.count("Processed") == 3, "the mail that IDLE tells of")
    assert desk.raws() == Counter([mail(1), large, mail(3)])
    assert person.flags("Processed") == [{b"\\Seen", b"$MailwicketDone"}] * 3
    assert person.count("Support") == 0
    assert [event.name for event in desk.events] == ["connected"]


async def test_an_access_token_opens_the_mailbox_and_a_withdrawn_one_is_replaced(
    dovecot: ProviderDovecot, person: Person, tmp_path: Path
) -> None:
    identity = dovecot.identity
    identity.withdrawn.add(f"token-{identity.issued + 1}")
    person.put("Support", mail(1))
    oauth = OAuthSettings(token_url=f"{identity.url}/token", client_id="desk", refresh_token="refresh")
    issued = identity.issued
    desk = Desk(tmp_path, dovecot, password=None, oauth=oauth)
    async with desk.watching():
        await soon(lambda: desk.raws() == Counter([mail(1)]), "the mail")
        dovecot.kick()
        person.put("Support", mail(2))
        await soon(lambda: desk.raws() == Counter([mail(1), mail(2)]), "the second mail, with the same token")
    assert identity.issued == issued + 2
    assert identity.asked >= 3


async def test_a_hundred_mails_through_a_connection_that_keeps_breaking(
    dovecot: ProviderDovecot, person: Person, tmp_path: Path
) -> None:
    desk = Desk(tmp_path, dovecot, move_to="Processed", batch=7)
    wanted = [mail(number) for number in range(100)]

    async with desk.watching():
        for start in range(0, 100, 10):
            await asyncio.to_thread(person.put, "Support", *wanted[start : start + 10])
            await asyncio.to_thread(dovecot.kick)
        await soon(lambda: len(desk.raws()) == 100, "all hundred")
        await soon(lambda: person.count("Support") == 0, "all moved")
    assert desk.raws() == Counter(wanted)
    assert len([event for event in desk.events if event.name == "connected"]) > 1


async def test_a_folder_made_anew_is_read_again_and_says_so(dovecot: ProviderDovecot, person: Person, tmp_path: Path) -> None:
    person.put("Support", mail(1), mail(2))
    desk = Desk(tmp_path, dovecot)
    async with desk.watching():
        await soon(lambda: len(desk.origins()) == 2, "two mails")
    person.fresh("Support")
    person.put("Support", mail(1), mail(2))
    desk = Desk(tmp_path, dovecot)
    async with desk.watching():
        await soon(lambda: len(desk.origins()) == 4, "both again")
        person.put("Support", mail(3))
        await soon(lambda: len(desk.origins()) == 5, "a new one")
    assert [origin.endswith(";RESCAN") for origin in desk.origins()] == [False, False, True, True, False]
    assert len({origin.split(";")[1] for origin in desk.origins()}) == 2


async def test_what_people_do_to_the_mail_changes_nothing_for_us(
    dovecot: ProviderDovecot, person: Person, tmp_path: Path
) -> None:
    person.put("Support", *(mail(number) for number in range(4)))
    with person.at("Support") as client:
        client.store("1:2", "+FLAGS", r"(\Seen)")
    person.remove("Support", 3)
    desk = Desk(tmp_path, dovecot)
    async with desk.watching():
        await soon(lambda: len(desk.origins()) == 3, "the three that are left")
        await soon(lambda: all(b"\\Seen" in flags for flags in person.flags("Support")), "our flags")
        with person.at("Support") as client:
            client.store("1:3", "-FLAGS", r"(\Seen)")
        person.remove("Support", 1)
        person.put("Support", mail(9))
        await soon(lambda: len(desk.origins()) == 4, "the next one")
        await soon(lambda: b"\\Seen" in person.flags("Support")[-1], "its flag")
    assert desk.raws() == Counter([mail(0), mail(1), mail(3), mail(9)])
    assert [b"\\Seen" in flags for flags in person.flags("Support")] == [False, False, True]


async def test_the_sent_folder_is_read_from_now_on_and_left_as_it_is(
    dovecot: ProviderDovecot, person: Person, tmp_path: Path
) -> None:
    person.put("Sent", mail(1))
    desk = Desk(tmp_path, dovecot, sent_folder="Sent", move_to="Processed")
    async with desk.watching():
        await soon(lambda: len(desk.events) == 2, "both folders")
        await soon(lambda: all(watch.looked_at > 0 for watch in desk.mailbox.watches), "the first look")
        person.put("Sent", mail(2))
        person.put("Support", mail(3))
        await soon(lambda: len(desk.origins()) == 2, "one mail of each")
    assert desk.raws() == Counter([mail(2), mail(3)])
    assert [origin.endswith(";SENT") for origin in desk.origins()].count(True) == 1
    assert person.flags("Sent") == [set(), set()]


async def test_a_folder_with_umlauts_is_found(dovecot: ProviderDovecot, person: Person, tmp_path: Path) -> None:
    person.fresh('"Posteing&AOQ-nge &- mehr"')
    person.put('"Posteing&AOQ-nge &- mehr"', mail(1))
    desk = Desk(tmp_path, dovecot, folder="Posteingänge & mehr")
    async with desk.watching():
        await soon(lambda: len(desk.origins()) == 1, "the mail")
    assert desk.origins()[0].startswith("imap://support/Posteing%C3%A4nge%20%26%20mehr;UIDVALIDITY=")
