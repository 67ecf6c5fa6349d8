"""A mail provider that watches the gateway's every step, so that it can be killed between any two of them.

The mailboxes are a real Dovecot's. ``Wire`` stands before it and reads along; ``Submission`` takes what is sent,
gives it a Message-ID of its own and saves it in Sent. Each can be told to kill the gateway at a step: the step
happened, its answer never came.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import imaplib
import json
import re
import shutil
import socket
import ssl
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from email.utils import make_msgid
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from tests.crash.process import DESK, Books, Site, until
from tests.crash.traffic import Traffic
from tests.journey.servers import PASSWORD, Certificates, Dovecot, certificates, free_ports

MAILBOXES = 32
PAUSE = 0.3         # seconds between two mails of a sender: kills shall meet work, not a growing queue
Kill = Callable[[], None]
_MESSAGE_ID = re.compile(rb"^Message-ID: \S+(?=\r?$)", re.MULTILINE | re.IGNORECASE)
TOML = """\
[mailwicket]
state = "state"
host = "desk.acme.example"
key = "ABC"

[listen]
smtp = "off"
lmtp = "off"

[[mailbox]]
name = "support"
queue = "support"
imap = "127.0.0.1:{imap}"
imap_tls = "none"
smtp = "127.0.0.1:{smtp}"
cafile = "{ca}"
username = "{username}"
password_file = "password"
move_to = "Processed"
sent_folder = "Sent"
start = "all"
poll_seconds = 5
authenticates = ["acme.example"]
"""


class MailboxDovecot(Dovecot):
    """Mailboxes that wait for a desk, one a test."""

    people = tuple(f"desk-{number}@acme.example" for number in range(MAILBOXES))

    def __init__(self) -> None:
        home = Path(tempfile.mkdtemp(prefix="mailwicket-crash-"))
        home.chmod(0o755)   # both servers run as others
        super().__init__(home / "dovecot", free_ports())
        self.certs = certificates(home)
        self._unused = iter(self.people)

    def mailbox(self) -> str:
        """One that nobody has used, with its folders."""
        username = next(self._unused)
        with self.client(username) as client:
            for folder in ("Processed", "Sent"):
                client.create(folder)
        return username

    @contextlib.contextmanager
    def client(self, username: str) -> Iterator[imaplib.IMAP4]:
        with imaplib.IMAP4("127.0.0.1", self.ports.imap, timeout=30) as client:
            client.login(username, PASSWORD)
            yield client

    def stop(self) -> None:
        super().stop()
        shutil.rmtree(self.root.parent, ignore_errors=True)


class Wire:
    """A way to Dovecot that is cut when ``cut_at`` is seen on it: ``kill`` is called, and the line goes no further."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = self._door.getsockname()[1]
        self._armed: tuple[bool, re.Pattern[bytes], Kill] | None = None
        self._lock = threading.Lock()
        threading.Thread(target=self._serve, daemon=True).start()

    def cut_at(self, pattern: bytes, kill: Kill, *, answer: bool) -> None:
        """Once, at a command of the gateway's that matches, or at an answer."""
        self._armed = (answer, re.compile(pattern), kill)

    def let_be(self) -> None:
        """Cut nothing any more."""
        with self._lock:
            self._armed = None

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                gateway, _ = self._door.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                for source, target, answers in ((gateway, server, False), (server, gateway, True)):
                    threading.Thread(target=self._pass_on, args=(source, target, answers), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if kill := self._is_here(data, answers):
                    kill()
                    break
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _is_here(self, data: bytes, answers: bool) -> Kill | None:
        with self._lock:
            if self._armed is None or self._armed[0] != answers or not self._armed[1].search(data):
                return None
            _, _, kill = self._armed
            self._armed = None
            return kill

    def close(self) -> None:
        self._door.close()


class Submission:
    """Takes everything and remembers its bytes; ``kill_at`` "MAIL" or "DATA" once, the latter when it has taken it."""

    def __init__(self, certs: Certificates, save: Callable[[bytes], None]) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.names: list[str] = []      # the Message-IDs under which they went out
        self._save = save
        self._armed: dict[str, Kill] = {}
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certs.chain)
        self._controller = Controller(
            self, hostname="127.0.0.1", port=free_ports().provider, decode_data=False, tls_context=context, require_starttls=True,
            auth_required=True, authenticator=lambda *_: AuthResult(success=True),
        )
        self._controller.start()
        self.port = self._controller.port

    def kill_at(self, verb: str, kill: Kill) -> None:
        self._armed[verb] = kill

    def let_be(self) -> None:
        self._armed.clear()

    async def handle_MAIL(
        self, server: object, session: object, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if kill := self._armed.pop("MAIL", None):
            kill()
        envelope.mail_from = address
        return "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        await asyncio.to_thread(self._take, envelope.rcpt_tos[0], envelope.content)
        if kill := self._armed.pop("DATA", None):
            kill()
        return "250 OK"

    def _take(self, recipient: str, content: bytes) -> None:
        """In one go: aiosmtpd cancels the handler when the client dies, and a copy in Sent must not go uncounted."""
        name = make_msgid(domain="mail.provider.example")
        self._save(_MESSAGE_ID.sub(f"Message-ID: {name}".encode(), content, count=1))
        self.names.append(name)
        self.taken.append((recipient, content))

    def close(self) -> None:
        self._controller.stop()


class MailboxSite(Site):
    """A desk with one mailbox, and the provider's two doors to it."""

    def __init__(self, root: Path, dovecot: MailboxDovecot) -> None:
        self.dovecot, self.username = dovecot, dovecot.mailbox()
        self.wire, self.submission = Wire(dovecot.ports.imap), Submission(dovecot.certs, self._save)
        super().__init__(root)
        (root / "password").write_text(PASSWORD + "\n")
        (root / "password").chmod(0o600)

    def toml(self) -> str:
        mailbox = TOML.format(imap=self.wire.port, smtp=self.submission.port, ca=self.dovecot.certs.ca, username=self.username)
        return mailbox + "\n[[queue]]" + super().toml().partition("[[queue]]")[2]

    def _save(self, raw: bytes) -> None:
        with self.dovecot.client(self.username) as client:
            said = client.append("Sent", "", "", raw)
        assert said[0] == "OK", said

    def watching(self) -> bool:
        """Whether it has looked into both folders in this life."""
        looks = [row["seconds_since_look"] for row in self.ask("status")[0]["mailboxes"]]
        return len(looks) == 2 and None not in looks

    def sent_is_read(self) -> bool:
        with self.dovecot.client(self.username) as client:
            client.select("Sent", readonly=True)
            uids = [int(uid) for uid in client.uid("SEARCH", "ALL")[1][0].split()]
        cursor = json.loads((self.state / "mailboxes" / "support.sent.cursor").read_bytes())
        return bool(max(uids, default=0) <= cursor["uid"])

    def shoot(self) -> None:
        """The kill alone, from any thread; ``buried`` waits for the rest."""
        assert self.process is not None
        self.process.kill()

    def folders(self) -> dict[str, tuple[int, int]]:
        """How many mails lie in a folder, and how many of them are marked as taken."""
        found = {}
        with self.dovecot.client(self.username) as client:
            for name in ("INBOX", "Processed"):
                client.select(name, readonly=True)
                counts = [len(client.search(None, *what)[1][0].split()) for what in (("ALL",), ("SEEN", "KEYWORD", "$MailwicketDone"))]
                found[name] = (counts[0], counts[1])
        return found

    def quiet(self) -> None:
        until(lambda: self.folders()["INBOX"] == (0, 0), "an empty mailbox", 120)
        super().quiet()
        until(self.sent_is_read, "everything in Sent to be read", 120)
        super().quiet()

    def abandon(self) -> None:
        super().abandon()
        self.wire.close()
        self.submission.close()

    def assert_sent(self, books: Books) -> int:
        """Each mail of the outbox left, with the bytes that were decided, once more at most for each interrupted try.

        How many left more than once.
        """
        rows = books.rows("SELECT o.sha256, d.state, d.attempts FROM outbox o JOIN delivery d ON d.outbox = o.id")
        attempts = {sha256: tries for sha256, state, tries in rows if state == "sent"}
        assert len(attempts) == len(rows), "not everything was sent"
        copies = Counter(hashlib.sha256(raw).hexdigest() for _, raw in self.submission.taken)
        assert copies.keys() == attempts.keys()
        assert not [sha256 for sha256, count in copies.items() if count > attempts[sha256]]
        # What was sent under another name is known by each of them; its copy in Sent counts for nothing else.
        names = {name.strip("<>") for name in self.submission.names}
        assert sorted(name for (name,) in books.rows("SELECT rfc_id FROM sent_id")) == sorted(names)
        return sum(count > 1 for count in copies.values())


class MailboxTraffic(Traffic):
    """The same letters, laid into the mailbox; a provider's mailbox takes everything at once."""

    def __init__(self, site: MailboxSite, seed: int) -> None:
        super().__init__(site, seed)
        self._mailbox = threading.local()
        self._provider = site
        self._read = 0

    def _deliver(self, dice: object, letter: object, mail_from: str, raw: bytes, peer: object) -> tuple[bool, None]:
        self.lay(mail_from, raw)
        time.sleep(PAUSE)
        return True, None

    def lay(self, mail_from: str, raw: bytes) -> None:
        """The bytes of a mail are the same each time it is laid there."""
        trace = f"Return-Path: <{mail_from}>\r\nDelivered-To: {DESK}\r\n".encode()
        with self._provider.dovecot.client(self._provider.username) as client:
            said = client.append("INBOX", "", "", trace + raw)
        assert said[0] == "OK", said
        with self._lock:
            self.deliveries += 1

    def fetch(self) -> None:
        with self._lock:
            fresh = self._provider.submission.taken[self._read:]
            self._read += len(fresh)
            for (rcpt, _), name in zip(fresh, self._provider.submission.names[self._read - len(fresh):], strict=False):
                self._acknowledged[rcpt] = name
