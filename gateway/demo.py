"""``make demo``: a whole desk on loopback ports, and one story played through it by real SMTP.

Three customers, two agents, a stranger. Every step sends a mail as its writer's mail program would
and then waits for what the gateway sends out, read from the Maildir that takes the place of the
world. The reader sees mails, not internals. Nothing of it touches anything outside its temporary directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_string
from email import policy as mail_policies
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import format_datetime, make_msgid, parseaddr
from pathlib import Path

import aiosmtplib
import structlog
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from gateway import config as configuration
from gateway import show
from gateway.edge.control import ask
from gateway.errors import StateError
from gateway.service import Gateway
from gateway.show import clean

WAIT = 20.0
TOML = """\
# The demo's desk. `mailwicket init` writes a commented one to start from.
[mailwicket]
state = "{state}"
host = "desk.acme.example"
key = "ABC"
reply_domain = "reply.acme.example"

[listen]
smtp = "127.0.0.1:{smtp}"
lmtp = "127.0.0.1:{lmtp}"

[send]
maildir = "{out}"

[[relay]]
name = "loopback"
networks = ["127.0.0.1/32"]
authenticates = ["acme.example"]

[[queue]]
name = "support"
address = ["support@acme.example"]
from_name = "Acme Support"
agents = ["anna", "bert"]

[[agent]]
login = "anna"
name = "Anna Ek"
address = ["anna@acme.example"]

[[agent]]
login = "bert"
name = "Bert Lind"
address = ["bert@acme.example"]

[[rule]]
name = "invoices"
when = "subject ilike '%invoice%' or text ilike '%invoice%'"
then = ["#priority high", "#tag +billing"]

[log]
level = "warning"
"""


@dataclass
class World:
    """The mailboxes outside: what the gateway sent, and how people send to it."""

    port: int
    out: Path
    console: Console
    seen: set[str] = field(default_factory=set)

    async def post(self, sender: str, rcpt: str, mail: EmailMessage) -> None:
        """Deliver ``mail`` by SMTP with ``sender`` ('' is the null path) as MAIL FROM."""
        async with aiosmtplib.SMTP(hostname="127.0.0.1", port=self.port, start_tls=False) as smtp:
            await smtp.sendmail(sender, [rcpt], mail.as_bytes(policy=mail_policies.SMTP))

    async def arrived(self, *wanted: str) -> dict[str, EmailMessage]:
        """Wait until every address of ``wanted`` has a new mail; returns it by address."""
        found: dict[str, EmailMessage] = {}
        async with asyncio.timeout(WAIT):
            while not set(wanted) <= found.keys():
                await asyncio.sleep(0.02)
                found |= self.look()
        return found

    def look(self) -> dict[str, EmailMessage]:
        """What came since the last look, shown to the reader."""
        found: dict[str, EmailMessage] = {}
        for path in sorted((self.out / "new").glob("*")):
            if path.name not in self.seen:
                self.seen.add(path.name)
                mail = BytesParser(EmailMessage, policy=mail_policies.default).parsebytes(path.read_bytes())
                address = parseaddr(str(mail["Delivered-To"]))[1]
                self._show(address, mail)
                found[address] = mail
        return found

    def say(self, who: str, what: str) -> None:
        self.console.print(Text.assemble((f"\n{who} ", "bold cyan"), what))

    def _show(self, address: str, mail: EmailMessage) -> None:
        body = mail.get_body(("plain",))
        lines = [line for line in str(body.get_content() if body else "").splitlines() if line.strip()]
        # Greetings and "wrote:" lines say nothing; what follows them does.
        first = next((line for line in lines if line[-1] not in ",:"), "")
        sender = clean(str(mail["From"])).split(" <")[0].strip('"')
        self.console.print(Text.assemble(
            ("  → ", "green"), (f"{address:<22}", "green"), (f"{sender}  ", "dim"), clean(str(mail["Subject"])),
            (f"\n      {clean(first)}", "dim"),
        ), overflow="ellipsis", no_wrap=True)


def letter(sender: str, rcpt: str, subject: str, text: str, *, answers: EmailMessage | None = None) -> EmailMessage:
    """A mail as a mail program writes it; ``answers`` sets In-Reply-To and References and is quoted below."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = sender, rcpt, subject
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Message-ID"] = make_msgid(domain=parseaddr(sender)[1].rpartition("@")[2])
    if answers is not None:
        mail["In-Reply-To"] = str(answers["Message-ID"])
        mail["References"] = f"{answers['References'] or ''} {answers['Message-ID']}".strip()
        body = answers.get_body(("plain",))
        quoted = "\n".join(f"> {line}" for line in str(body.get_content() if body else "").rstrip().splitlines())
        text = f"{text}\n\nOn {answers['Date']}, {parseaddr(str(answers['From']))[0]} wrote:\n{quoted}"
    mail.set_content(text + "\n")
    return mail


def run(*, keep: bool, snapshot: Path | None = None) -> int:
    """Play the story; ``keep`` lets the desk stand until Ctrl-C. Returns an exit code.

    ``snapshot`` is a directory that gets what the desk publishes for notebooks.
    """
    console = Console()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_play(console, keep=keep, snapshot=snapshot))
    return 0


async def _play(console: Console, *, keep: bool, snapshot: Path | None) -> None:
    root = Path(tempfile.mkdtemp(prefix="mailwicket-demo-"))
    smtp, lmtp = _free_ports(2)
    file = root / "mailwicket.toml"
    file.write_text(TOML.format(state=root / "state", out=root / "world", smtp=smtp, lmtp=lmtp), "utf-8")
    config = configuration.load(file)
    console.print(Panel.fit(
        Text.assemble(
            ("Mailwicket", "bold"), " — a help desk whose front end is mail\n",
            f"doors    SMTP 127.0.0.1:{smtp}  LMTP 127.0.0.1:{lmtp}\nstate    {config.state}\nmail out {root / 'world'}",
        )
    ))
    async with desk(config) as gateway:
        world = World(port=int(gateway.doors["smtp"]), out=root / "world", console=console)
        await story(world)
        await asyncio.to_thread(_tickets, config, console)
        if snapshot is not None:
            await asyncio.to_thread(_publish, config, snapshot)
        _next(console, file, config, keep=keep)
        while keep:
            await asyncio.sleep(0.2)
            world.look()


@contextlib.asynccontextmanager
async def desk(config: configuration.Config) -> AsyncIterator[Gateway]:
    """A running gateway for the length of a block; its error, if it ends early."""
    gateway = Gateway(config)
    running = asyncio.create_task(gateway.run())
    ready = asyncio.create_task(gateway.ready.wait())
    await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        ready.cancel()
        running.result()
        raise StateError("the gateway ended before it was ready")
    try:
        yield gateway
    finally:
        gateway.stop()
        await running


ANN, BEN, CHLOE = "Ann Berg <ann@cust.example>", "Ben Ode <ben@shop.example>", "Chloé Roy <chloe@studio.example>"
ANNA, BERT, EVE = "Anna Ek <anna@acme.example>", "Bert Lind <bert@acme.example>", "Eve <eve@elsewhere.example>"
DESK = "support@acme.example"


async def story(world: World) -> None:
    """The steps, in the order of a working day."""
    memory: dict[str, EmailMessage] = {}
    for step in STEPS:
        await step(world, memory)


async def _new_mail(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Ann", "writes to support@acme.example: her printer is on fire.")
    await world.post("ann@cust.example", DESK, letter(ANN, DESK, "Printer on fire", "The printer smokes. What shall I do?\n\n-- \nAnn"))
    memory.update(await world.arrived("ann@cust.example", "anna@acme.example", "bert@acme.example"))


async def _agent_answers(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Anna", "answers from her own mail program, to the reply address of the notice, with a command on top.")
    notice = memory["anna@acme.example"]
    text = "#pending\n#tag +hardware\n\nDear Ann,\n\nplease pull the plug, then tell me its model.\n\nAnna"
    reply = parseaddr(str(notice["Reply-To"]))[1]
    await world.post("anna@acme.example", reply, letter(ANNA, reply, f"Re: {notice['Subject']}", text, answers=notice))
    memory.update(await world.arrived("ann@cust.example", "bert@acme.example"))


async def _by_headers_only(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Ann", "answers with another subject; only In-Reply-To tells where it belongs. The ticket opens again.")
    mail = letter(ANN, DESK, "it is a LaserMax 9", "It is a LaserMax 9. Still warm.", answers=memory["ann@cust.example"])
    await world.post("ann@cust.example", DESK, mail)
    memory.update(await world.arrived("anna@acme.example"))


async def _typo(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Anna", "mistypes a command. The mail is held; nothing of it reaches Ann.")
    notice = memory["anna@acme.example"]
    reply = parseaddr(str(notice["Reply-To"]))[1]
    text = "#sovled\n\nA new one is on its way."
    await world.post("anna@acme.example", reply, letter(ANNA, reply, f"Re: {notice['Subject']}", text, answers=notice))
    await world.arrived("anna@acme.example")


async def _solved(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Anna", "sends it again, spelled right.")
    notice = memory["anna@acme.example"]
    reply = parseaddr(str(notice["Reply-To"]))[1]
    text = "#solved\n\nA new one is on its way."
    await world.post("anna@acme.example", reply, letter(ANNA, reply, f"Re: {notice['Subject']}", text, answers=notice))
    memory.update(await world.arrived("ann@cust.example"))


async def _out_of_office(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Ann's mailbox", "says that she is away. It is kept on the ticket; nothing opens, nobody is told, nothing is answered.")
    mail = letter(ANN, DESK, "Automatic reply: [ABC-1] Printer on fire", "I am away until Monday.", answers=memory["ann@cust.example"])
    mail["Auto-Submitted"] = "auto-replied"
    await world.post("", DESK, mail)


async def _invoice(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Ben", "writes about an invoice, with a file. A rule gives it priority high and a tag.")
    mail = letter(BEN, DESK, "Invoice 4711", "The invoice is wrong, see the file.")
    mail.add_attachment(b"item;price\nprinter;99\n", maintype="text", subtype="csv", filename="invoice 4711.csv")
    await world.post("ben@shop.example", DESK, mail)
    memory.update(await world.arrived("ben@shop.example", "anna@acme.example", "bert@acme.example"))


async def _note(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Bert", "takes it and leaves a note for his colleagues. Ben sees nothing of it.")
    notice = memory["bert@acme.example"]
    reply = parseaddr(str(notice["Reply-To"]))[1]
    text = "#note\n#take\n\nThe third wrong invoice this month; look at the price list."
    await world.post("bert@acme.example", reply, letter(BERT, reply, f"Re: {notice['Subject']}", text, answers=notice))
    await world.arrived("anna@acme.example")


async def _third(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Chloé", "asks something; Bert answers.")
    await world.post("chloe@studio.example", DESK, letter(CHLOE, DESK, "Opening hours", "Are you open on Saturday?"))
    memory.update(await world.arrived("chloe@studio.example", "anna@acme.example", "bert@acme.example"))
    notice = memory["bert@acme.example"]
    reply = parseaddr(str(notice["Reply-To"]))[1]
    text = "Yes, from 9 to 13.\n\nBert"
    await world.post("bert@acme.example", reply, letter(BERT, reply, f"Re: {notice['Subject']}", text, answers=notice))
    memory.update(await world.arrived("chloe@studio.example"))


BOUNCE = """\
From: MAILER-DAEMON@studio.example
To: {to}
Subject: Undelivered Mail Returned to Sender
Message-ID: <4711.bounce@studio.example>
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="=_b"

--=_b
Content-Type: text/plain

The mail could not be delivered.

--=_b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.studio.example

Final-Recipient: rfc822; chloe@studio.example
Action: failed
Status: 5.2.2
Diagnostic-Code: smtp; 552 5.2.2 Mailbox full

--=_b
Content-Type: text/rfc822-headers

Message-ID: {id}

--=_b--
"""


async def _bounce(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Chloé's server", "returns the answer: her mailbox is full for good. Bert is told, once.")
    answer = memory["chloe@studio.example"]
    address = parseaddr(str(answer["Return-Path"]))[1]
    report = message_from_string(BOUNCE.format(to=address, id=answer["Message-ID"]), EmailMessage, policy=mail_policies.default)
    await world.post("", address, report)
    await world.arrived("bert@acme.example")


async def _stranger(world: World, memory: dict[str, EmailMessage]) -> None:
    world.say("Eve", "has seen the subject of Ann's ticket and copies it. She gets a ticket of her own and learns nothing.")
    await world.post("eve@elsewhere.example", DESK, letter(EVE, DESK, "Re: [ABC-1] Printer on fire", "What did you tell Ann?"))
    await world.arrived("eve@elsewhere.example", "anna@acme.example", "bert@acme.example")


Step = Callable[[World, dict[str, EmailMessage]], Awaitable[None]]
STEPS: tuple[Step, ...] = (
    _new_mail, _agent_answers, _by_headers_only, _typo, _solved, _out_of_office, _invoice, _note, _third, _bounce, _stranger,
)


def _publish(config: configuration.Config, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for row in ask(config.control_socket, "snapshot", {}):
        shutil.copy(row["snapshot"], directory / "current.duckdb")


def _tickets(config: configuration.Config, console: Console) -> None:
    console.rule("the desk now")
    rows = list(ask(config.control_socket, "tickets", {}))
    console.print(show.tickets(rows))


def _next(console: Console, file: Path, config: configuration.Config, *, keep: bool) -> None:
    beside = Path(sys.executable).with_name("mailwicket")
    command = str(beside) if beside.exists() else f"{sys.executable} -m gateway"
    with contextlib.suppress(ValueError):
        command = str(beside.relative_to(Path.cwd()))
    console.print(Text.assemble(
        ("\ndatabase  ", "bold"), str(config.state / "mailwicket.duckdb"), ("\nmail out  ", "bold"),
        str(config.send.maildir), "\n\nTry next:",
    ), soft_wrap=True)
    port = config.listen.smtp.port if config.listen.smtp else 0
    for words, what in (
        (f"{command} show ABC-1 --config {file}", "one ticket as a conversation, and why each mail was decided so"),
        (f"{command} outbox --all --config {file}", "what was sent to whom, and what came back"),
        (f"swaks --server 127.0.0.1:{port} --from me@cust.example --to {DESK}", "a mail of your own (any mail program will do)")
        if keep else ("make demo KEEP=1", "the same desk, left standing for your own mails"),
        (f"{command} init", "a mailwicket.toml for your own addresses"),
    ):
        # One line, however long: a command must survive being copied.
        console.print(Text.assemble((f"  {words}", "green"), (f"\n      {what}", "dim")), soft_wrap=True)
    if keep:
        console.print("\nThe desk stands, and shows here what it sends. Ctrl-C closes it.")


def _free_ports(count: int) -> Iterator[int]:
    """Ports of the loopback interface that nobody listens on, the usual ones first."""
    open_sockets: list[socket.socket] = []
    for wanted in (2525, 2424)[:count]:
        probe = socket.socket()
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", wanted))
        if probe.getsockname()[1] == 0:
            probe.bind(("127.0.0.1", 0))
        open_sockets.append(probe)
    ports = [probe.getsockname()[1] for probe in open_sockets]
    for probe in open_sockets:
        probe.close()
    return iter(ports)
