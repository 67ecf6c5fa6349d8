"""B1: a mailbox on a real Dovecot, watched over TLS: every mail once, whatever people and servers do to it."""

from __future__ import annotations

import asyncio
import contextlib
import imaplib
import json
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from servers import PASSWORD, PATH, Certificates, Dovecot, Ports, certificates, free_ports, require_servers, until

from gateway.edge.imap_cursor import CursorFile
from gateway.edge.imap_receive import Mailbox, MailboxEvent
from gateway.edge.imap_settings import MailboxSettings, Pace
from gateway.edge.imap_token import OAuthSettings
from gateway.edge.room import Room, RoomLimits
from gateway.edge.spool import Spool

pytestmark = [pytest.mark.journey, pytest.mark.servers]

USER = "anna@acme.example"
QUICK = Pace(first_delay=0.05, last_delay=0.5, breath=0.05)


# --- Servers --------------------------------------------------------------------------------


class Provider:
    """The account's identity provider: a token endpoint, and an introspection endpoint that Dovecot asks (RFC 7662)."""

    def __init__(self) -> None:
        self.valid: set[str] = set()
        self.issued = self.asked = 0
        self.withdrawn: set[str] = set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                answer = json.dumps(outer._token() if self.path == "/token" else outer._introspect(form["token"][0])).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _token(self) -> dict[str, object]:
        self.issued += 1
        token = f"token-{self.issued}"
        if token not in self.withdrawn:
            self.valid.add(token)
        return {"access_token": token, "token_type": "Bearer", "expires_in": 3600}

    def _introspect(self, token: str) -> dict[str, object]:
        self.asked += 1
        return {"active": token in self.valid, "username": USER}

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class MailboxDovecot(Dovecot):
    """The journey's Dovecot with a TLS port and XOAUTH2."""

    def __init__(self, root: Path, ports: Ports, certs: Certificates, provider: Provider) -> None:
        super().__init__(root, ports)
        self.certs, self.provider = certs, provider

    @property
    def imaps(self) -> int:
        return self.ports.mx  # No Postfix runs beside this one.

    def _config(self) -> str:
        (self.root / "oauth2.conf").write_text(
            f"introspection_mode = post\nintrospection_url = {self.provider.url}/introspect\n"
            "username_attribute = username\nactive_attribute = active\nactive_value = true\n"
        )
        return super()._config() + f"""
ssl = yes
ssl_cert = <{self.certs.chain}
ssl_key = <{self.certs.chain}
auth_mechanisms = plain login xoauth2
# Each token is to be looked at anew.
auth_cache_size = 0
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {self.root}/oauth2.conf
}}
service imap-login {{
  inet_listener imaps {{
    address = 127.0.0.1
    port = {self.imaps}
    ssl = yes
  }}
}}
"""

    def kick(self) -> None:
        """Disconnect everybody, as an administrator would."""
        subprocess.run(
            ["doveadm", "-c", str(self.root / "dovecot.conf"), "kick", USER], env={"PATH": PATH}, capture_output=True, check=False
        )


@pytest.fixture(scope="module")
def dovecot() -> Iterator[MailboxDovecot]:
    require_servers()
    root = Path(tempfile.mkdtemp(prefix="mailwicket-imap-"))
    root.chmod(0o755)
    with contextlib.ExitStack() as end:
        end.callback(shutil.rmtree, root, ignore_errors=True)
        provider = Provider()
        end.callback(provider.stop)
        server = MailboxDovecot(root / "dovecot", free_ports(), certificates(root), provider)
        end.callback(server.stop)
        server.start()
        yield server


class Person:
    """Somebody with a mail client at the same mailbox; it logs in for every errand, for the desk is not alone kicked out."""

    def __init__(self, dovecot: MailboxDovecot) -> None:
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
def person(dovecot: MailboxDovecot) -> Person:
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

    def __init__(self, root: Path, dovecot: MailboxDovecot, **changes: object) -> None:
        settings = MailboxSettings(
            name="support", host="localhost", port=dovecot.imaps, cafile=str(dovecot.certs.ca), username=USER, password=PASSWORD,
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
    dovecot: MailboxDovecot, person: Person, tmp_path: Path
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
    dovecot: MailboxDovecot, person: Person, tmp_path: Path
) -> None:
    provider = dovecot.provider
    provider.withdrawn.add(f"token-{provider.issued + 1}")
    person.put("Support", mail(1))
    oauth = OAuthSettings(token_url=f"{provider.url}/token", client_id="desk", refresh_token="refresh")
    issued = provider.issued
    desk = Desk(tmp_path, dovecot, password=None, oauth=oauth)
    async with desk.watching():
        await soon(lambda: desk.raws() == Counter([mail(1)]), "the mail")
        dovecot.kick()
        person.put("Support", mail(2))
        await soon(lambda: desk.raws() == Counter([mail(1), mail(2)]), "the second mail, with the same token")
    assert provider.issued == issued + 2
    assert provider.asked >= 3


async def test_a_hundred_mails_through_a_connection_that_keeps_breaking(
    dovecot: MailboxDovecot, person: Person, tmp_path: Path
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


async def test_a_folder_made_anew_is_read_again_and_says_so(dovecot: MailboxDovecot, person: Person, tmp_path: Path) -> None:
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
    dovecot: MailboxDovecot, person: Person, tmp_path: Path
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
    dovecot: MailboxDovecot, person: Person, tmp_path: Path
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


async def test_a_folder_with_umlauts_is_found(dovecot: MailboxDovecot, person: Person, tmp_path: Path) -> None:
    person.fresh('"Posteing&AOQ-nge &- mehr"')
    person.put('"Posteing&AOQ-nge &- mehr"', mail(1))
    desk = Desk(tmp_path, dovecot, folder="Posteingänge & mehr")
    async with desk.watching():
        await soon(lambda: len(desk.origins()) == 1, "the mail")
    assert desk.origins()[0].startswith("imap://support/Posteing%C3%A4nge%20%26%20mehr;UIDVALIDITY=")
