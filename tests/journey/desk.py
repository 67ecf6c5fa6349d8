"""The people of a journey and the gateway as an operator runs it: a process, its CLI, real mail clients.

Customers and forgers write with swaks, agents read and answer their IMAP mailbox with s-nail through
the submission door, tests read mailboxes with imaplib. Nothing here knows more than a mail user or
an operator would: no state file is opened, the control socket is the one that ``mailwicket tickets`` asks.
"""

from __future__ import annotations

import email
import email.policy
import imaplib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import make_msgid, parseaddr
from pathlib import Path
from typing import Any

from servers import PASSWORD, PATH, Town, answers, until

from gateway.edge.control import ask

Row = dict[str, Any]
CHECKOUT = Path(__file__).resolve().parents[2]
TOKEN = re.compile(r"t-[a-z0-9]+\.[a-z0-9]+-[a-z2-7]{20}", re.IGNORECASE)
# What the agents call themselves in their mail programs; mailwicket.toml has their full names.
CLIENT_NAMES = {"anna@acme.example": "Anna A.", "bert@acme.example": "Bert B."}
# What tells an agent's mail client about the ticket; no customer shall see any of it.
INTERNAL_HEADERS = ("list-id", "x-mailwicket-ticket", "x-mailwicket-queue", "x-mailwicket-status", "bcc", "sender")


# --- Reading --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Received:
    """A mail in a mailbox; ``number`` is its place there, for s-nail too."""

    number: int
    raw: bytes
    mail: EmailMessage

    def header(self, name: str) -> str:
        return str(self.mail.get(name, ""))

    @property
    def subject(self) -> str:
        return self.header("subject")

    @property
    def text(self) -> str:
        part = self.mail.get_body(("plain",))
        return part.get_content().replace("\r\n", "\n") if part is not None else ""

    @property
    def html(self) -> str:
        part = self.mail.get_body(("html",))
        return part.get_content() if part is not None else ""

    @property
    def everything(self) -> str:
        """Headers and all texts, decoded: where a secret would show."""
        parts = [p.get_content() for p in self.mail.walk() if p.get_content_maintype() == "text"]
        return "\n".join([*(f"{k}: {v}" for k, v in self.mail.items()), *parts])

    def part(self, name: str) -> EmailMessage:
        found = [p for p in self.mail.walk() if p.get_filename() == name]
        assert len(found) == 1, f"{len(found)} parts called {name}"
        assert isinstance(found[0], EmailMessage)
        return found[0]


def _fetched(client: imaplib.IMAP4, number: str) -> Received:
    _, data = client.fetch(number, "(BODY.PEEK[])")
    assert isinstance(data[0], tuple)
    raw = data[0][1]
    parsed = email.message_from_bytes(raw, _class=EmailMessage, policy=email.policy.default)
    return Received(number=int(number), raw=raw, mail=parsed)


class Mailbox:
    def __init__(self, town: Town, address: str) -> None:
        self.town, self.address = town, address

    def mails(self) -> list[Received]:
        """All mail, oldest first; read again each time, as a client does that looks for news."""
        client = imaplib.IMAP4("127.0.0.1", self.town.ports.imap, timeout=20)
        try:
            client.login(self.address, PASSWORD)
            client.select("INBOX", readonly=True)
            _, found = client.search(None, "ALL")
            return [_fetched(client, number) for number in found[0].decode().split()]
        finally:
            client.logout()

    def about(self, *words: str) -> list[Received]:
        """The mails whose subject has all ``words``."""
        return [m for m in self.mails() if all(w in m.subject for w in words)]

    def wait(self, which: Callable[[Received], bool], what: str) -> Received:
        """The first mail that fits, as soon as it is there."""
        return until(lambda: next(filter(which, self.mails()), None), f"{what} in the mailbox of {self.address}")

    def wait_about(self, *words: str, text: str = "") -> Received:
        what = f"a mail about {' '.join(words)}" + (f" with {text!r}" if text else "")
        return self.wait(lambda m: all(w in m.subject for w in words) and text in m.text, what)


# --- Writing --------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Sent:
    code: int
    said: str

    @property
    def taken(self) -> bool:
        return self.code == 0


def swaks(town: Town, *arguments: str, port: int | None = None) -> Sent:
    """Run swaks against the ``mx`` door; never fails the test by itself."""
    command = ["swaks", "--server", "127.0.0.1", "--port", str(port or town.ports.mx), "--helo", "client.example"]
    done = subprocess.run(
        [*command, *arguments], env={"PATH": PATH, "HOME": str(town.root), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
    )
    return Sent(code=done.returncode, said=(done.stdout + done.stderr).decode("utf-8", "replace"))


def write(
    town: Town, sender: str, to: str, subject: str, body: str, *, headers: Mapping[str, str] | None = None,
    attach: Iterable[tuple[str, str, Path]] = (),
) -> str:
    """A customer's mail to the ``mx`` door, with TLS; returns its Message-ID with brackets."""
    message_id = make_msgid(domain=parseaddr(sender)[1].partition("@")[2])
    arguments = ["--tls", "--from", parseaddr(sender)[1], "--to", to, "--h-From", sender, "--h-To", to]
    arguments += ["--header", f"Subject: {subject}", "--header", f"Message-Id: {message_id}", "--body", body]
    for name, value in (headers or {}).items():
        arguments += ["--add-header", f"{name}: {value}"]
    for name, kind, path in attach:
        arguments += ["--attach-type", kind, "--attach-name", name, "--attach", f"@{path}"]
    sent = swaks(town, *arguments)
    assert sent.taken, sent.said
    return message_id


def post(town: Town, mail: EmailMessage, mail_from: str, *to: str, login: str | None = None) -> Sent:
    """A whole message as it stands; with ``login`` through the submission door."""
    file = town.root / "post.eml"
    file.write_bytes(mail.as_bytes(policy=email.policy.SMTP))
    arguments = ["--tls", "--from", mail_from, "--to", ",".join(to), "--data", f"@{file}"]
    if login is None:
        return swaks(town, *arguments)
    arguments += ["--auth", "PLAIN", "--auth-user", login, "--auth-password", PASSWORD]
    return swaks(town, *arguments, port=town.ports.submission)


def answer(town: Town, address: str, mail: Received, text: str) -> None:
    """The person at ``address`` opens ``mail`` in the own IMAP mailbox and replies above the quotation."""
    who = address.replace("@", "%40")
    name = CLIENT_NAMES[address]
    settings = town.root / "mailrc"
    settings.write_text(
        f"set v15-compat errexit from='{name} <{address}>' hostname={address.partition('@')[2]}\n"
        f"set mta=smtp://{who}:{PASSWORD}@localhost:{town.ports.submission} smtp-auth=plain smtp-use-starttls\n"
        f"set tls-verify=strict tls-ca-file={town.certs.ca} tls-ca-no-defaults\n"
        f"set imap-auth=login sendcharsets=utf-8 sendwait indentprefix='> '\n"
        f"unset record save quote\n"
    )
    # "~Q" interpolates the mail as a quotation, below what was typed; "~." ends the message.
    typed = "\n".join(f"~{line}" if line.startswith("~") else line for line in text.split("\n"))
    script = f"reply {mail.number}\n{typed}\n\n~Q {mail.number}\n~.\nxit\n"
    done = subprocess.run(
        ["s-nail", "-#", "-f", f"imap://{who}:{PASSWORD}@127.0.0.1:{town.ports.imap}/INBOX"], input=script.encode(),
        env={"MAILRC": str(settings), "PATH": PATH, "HOME": str(town.root), "LC_ALL": "C.UTF-8", "TMPDIR": str(town.root)},
        capture_output=True, timeout=60, check=False,
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")


# --- The desk -------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Door:
    """Which of the gateway's doors Postfix hands the desk's mail to."""

    name: str
    queue: str
    reply_domain: str


LMTP = Door(name="lmtp", queue="support@acme.example", reply_domain="reply.acme.example")
SMTP = Door(name="smtp", queue="help@acme.example", reply_domain="smtp-reply.acme.example")

_TOML = """\
[mailwicket]
state = "{state}"
host = "desk.acme.example"
key = "ABC"
reply_domain = "{reply_domain}"
[listen]
smtp = "127.0.0.1:{smtp}"
lmtp = "127.0.0.1:{lmtp}"
[send]
smarthost = "localhost:{mx}"
[[relay]]
name = "mx"
networks = ["127.0.0.1/32"]
authenticates = ["acme.example"]
[[queue]]
name = "support"
address = ["{queue}"]
from_name = "Acme Support"
agents = ["anna", "bert"]
[[agent]]
login = "anna"
name = "Anna Ahlberg"
address = ["anna@acme.example"]
role = "admin"
[[agent]]
login = "bert"
name = "Bert Baum"
address = ["bert@acme.example"]
[budgets]
acks_per_address_hour = 1000
acks_per_address_day = 1000
acks_per_domain_hour = 1000
tickets_per_address_hour = 1000
[log]
format = "json"
"""


class Desk:
    """A gateway process on its own state directory, and the operator's command line."""

    def __init__(self, town: Town, root: Path, door: Door) -> None:
        self.town, self.root, self.door = town, root, door
        self.config, self.state = root / "mailwicket.toml", root / "state"
        self._log = root / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._seen = 0
        # The system's trust store, as OpenSSL finds it: here it knows the test's authority only.
        self.trust = town.certs.ca
        self.config.write_text(self._toml())

    def _toml(self) -> str:
        ports = self.town.ports
        return _TOML.format(
            state=self.state, reply_domain=self.door.reply_domain, queue=self.door.queue, smtp=ports.desk_smtp,
            lmtp=ports.desk_lmtp, mx=ports.mx,
        )

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("MAILWICKET")}
        return {**kept, "SSL_CERT_FILE": str(self.trust), "PYTHONPATH": str(CHECKOUT)}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "gateway", *arguments, "--config", str(self.config)]

    def start(self) -> None:
        self.launch()
        until(self._open, "the door")

    def launch(self) -> None:
        """A new process, ready; whether mail reaches it is not looked at."""
        self._seen = len(self.log_lines())
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                self.command("serve"), env=self.environment, cwd=self.root, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        until(self._ready, "the gateway to say that it is ready", 30)

    def _open(self) -> bool:
        return answers(self.town.ports.desk_lmtp)

    def _ready(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"the gateway ended with {code}:\n{self.said()}"
        return any(line.get("event") == "ready" for line in self.log_lines()[self._seen:])

    def stop(self) -> None:
        """SIGTERM; the gateway must be gone within 30 seconds, with exit code 0."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"still running 30 s after SIGTERM:\n{self.said()}") from None
        assert code == 0, f"ended with {code} after SIGTERM:\n{self.said()}"

    def abandon(self) -> None:
        """After a failure: gone, whatever it takes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def said(self) -> str:
        return self._log.read_text("utf-8", "replace") if self._log.exists() else ""

    def log_lines(self) -> list[Row]:
        """The JSON lines of the log; others, such as the greeting, are left out."""
        lines = []
        for line in self.said().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
        return lines

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environment, cwd=self.root, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )

    def ask(self, verb: str, **arguments: object) -> list[Row]:
        return list(ask(self.state / "control.sock", verb, arguments))

    def tickets(self) -> list[Row]:
        return self.ask("tickets", limit=10_000)

    def ticket(self, subject: str) -> Row:
        """The ticket whose subject is ``subject``, once there is one."""
        return until(
            lambda: next((t for t in self.tickets() if t["subject"] == subject), None), f"a ticket {subject!r}"
        )

    def show(self, key: str) -> Row:
        """Ticket, messages, events and decisions of ``key``."""
        return self.ask("show", key=key)[0]

    def status(self, key: str) -> str:
        return str(self.show(key)["ticket"]["status"])

    def quiet(self) -> None:
        """Wait until everything that came in was decided, sent and delivered: what is not there now never comes."""

        def settled() -> bool:
            return not (
                self.town.postfix.waiting()
                or self.ask("spool")
                or [m for m in self.ask("outbox") if m["state"] in ("queued", "sending")]
            )

        # Twice: between the looks a mail may have been on the wire.
        until(lambda: settled() and settled(), "the desk to fall quiet")


# --- How stories begin ----------------------------------------------------------------------


def opened(desk: Desk, town: Town, subject: str) -> str:
    """Ann's new ticket: its key in brackets, once it is acknowledged."""
    write(town, "Ann Example <ann@cust.example>", desk.door.queue, subject, f"I have a question: {subject}?")
    ack = Mailbox(town, "ann@cust.example").wait_about(subject)
    return ack.subject.partition("[")[2].partition("]")[0]


def forged(notice: Received, sender: str, text: str) -> EmailMessage:
    """A mail in an agent's name by somebody who saw her notice: address, ids and subject all fit."""
    mail = EmailMessage()
    mail["From"] = f"The Agent <{sender}>"
    mail["To"] = notice.header("reply-to")
    mail["Subject"] = f"Re: {notice.subject}"
    mail["In-Reply-To"] = notice.header("message-id")
    mail["Message-ID"] = make_msgid(domain="elsewhere.example")
    mail.set_content(text)
    return mail
