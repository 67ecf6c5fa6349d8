"""Outgoing mail arrives byte for byte, and the outcome never says more than is known."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.retry import SendResult
from gateway.edge.oauth import TokenRefused
from gateway.edge.smtp_send import Smarthost, SmarthostSettings

SENDER, RECIPIENT = "b-a1@reply.acme.example", "kunde@example.org"
RAW = b"From: support@acme.example\r\n\r\n.\r\n..two\r\n.one\r\nlast\r\n"
CA = trustme.CA()


def server_context(host: str = "localhost", ca: trustme.CA = CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(host).configure_cert(context)
    return context


@pytest.fixture(scope="session")
def cafile(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    CA.cert_pem.write_to_path(str(path))
    return str(path)


def plain(port: int, **values: Any) -> SmarthostSettings:
    base: dict[str, Any] = {"host": "127.0.0.1", "port": port, "helo": "acme.example", "tls": "none"}
    return SmarthostSettings(**base | values)


def secured(port: int, cafile: str, **values: Any) -> SmarthostSettings:
    return plain(port, **{"host": "localhost", "tls": "starttls", "cafile": cafile} | values)


@dataclass
class Mta:
    """What a real SMTP server got; a hook named in ``replies`` gives the reply of that name."""

    replies: dict[str, str] = field(default_factory=dict)
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    sessions: set[tuple[str, int]] = field(default_factory=set)

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, found: Any) -> Any:
        session.host_name = hostname
        self.sessions.add(session.peer)
        self.commands.append("EHLO")
        return found

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        self.commands.append("MAIL")
        envelope.mail_from = address
        return self.replies.get("MAIL", "250 OK")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        envelope.rcpt_tos.append(address)
        return self.replies.get("RCPT", "250 OK")

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if reply := self.replies.get("DATA"):
            return reply
        await asyncio.sleep(0.01)
        self.mails.append((envelope.mail_from, envelope.rcpt_tos, envelope.original_content))
        return "250 2.0.0 queued as 7"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        self.commands.append("AUTH")
        good = isinstance(login, LoginPassword) and (login.login, login.password) == (b"desk", b"secret")
        return AuthResult(success=good, handled=False)


@contextlib.asynccontextmanager
async def listening(
    factory: Callable[[], asyncio.Protocol], context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    made: list[Any] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: made.append(factory()) or made[-1], "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for protocol in made:
        while protocol.transport is not None:  # Its session ends when it has read our end of file.
            await asyncio.sleep(0.005)


def mta_port(mta: Mta, **options: Any) -> contextlib.AbstractAsyncContextManager[int]:
    return listening(lambda: SMTP(mta, hostname="mx.example", **options))


def implicit_port(mta: Mta, context: ssl.SSLContext) -> contextlib.AbstractAsyncContextManager[int]:
    return listening(lambda: SMTP(mta, hostname="mx.example"), context)


@contextlib.asynccontextmanager
async def scripted(
    script: dict[str, bytes],
    text_end: bytes = b"\r\n.\r\n",
    log: list[bytes] | None = None,
    queues: dict[str, list[bytes]] | None = None,
) -> AsyncIterator[int]:
    """A server that answers each command by ``script``; no entry = 250, b'' = hangs up, b'-' = says nothing.

    Answers in ``queues`` come before those, each once.
    "TEXT" is the answer once ``text_end`` was read after 354; "greeting" opens the session.
    """
    commands = [] if log is None else log
    tasks: set[asyncio.Task[Any] | None] = set()

    def answer_to(word: str) -> bytes:
        if queues and queues.get(word):
            return queues[word].pop(0)
        return script.get(word, b"220 hi" if word == "greeting" else b"250 OK")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        word = "greeting"
        with contextlib.suppress(OSError, asyncio.IncompleteReadError), contextlib.closing(writer):
            while answer := answer_to(word):
                if answer != b"-":
                    writer.write(answer + b"\r\n")
                if answer.startswith(b"354"):
                    await reader.readuntil(text_end)
                    word = "TEXT"
                    continue
                line = await reader.readuntil(b"\r\n")
                commands.append(line)
                word = re.split(rb"[ \r]", line)[0].decode()
            if script.get("end") == b"RST":
                # Zero linger: the peer gets a reset, not an orderly end.
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 24)
    async with server:
        yield server.sockets[0].getsockname()[1]
    for task in tasks:
        if task is not None:
            task.cancel()
            await asyncio.wait([task])


async def once(chosen: SmarthostSettings, raw: bytes = RAW) -> SendResult:
    async with Smarthost(chosen) as smarthost:
        return await smarthost.send(SENDER, RECIPIENT, raw)


# --- It arrives ---


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_a_mail_arrives_unchanged_over_tls(cafile: str, tls: str) -> None:
    """Dots and all, to one recipient; the null reverse-path goes as ``<>``."""
    mta, context = Mta(), server_context()
    if tls == "implicit":
        running = implicit_port(mta, context)
    else:
        running = mta_port(mta, tls_context=context, require_starttls=True)
    async with running as port, Smarthost(secured(port, cafile, tls=tls)) as smarthost:
        assert await smarthost.send(SENDER, RECIPIENT, RAW) == SendResult("sent", "250 2.0.0 queued as 7")
        assert (await smarthost.send("", RECIPIENT, RAW, name="8")).outcome == "sent"
    assert mta.mails == [(SENDER, [RECIPIENT], RAW), ("<>", [RECIPIENT], RAW)]


@settings(deadline=None, max_examples=25)
@given(st.lists(st.one_of(st.sampled_from([".", "..", ". ", ""]), st.text("ab.", max_size=900)), min_size=1))
def test_dots_are_transparent(lines: list[str]) -> None:
    """RFC 5321 §4.5.2: whatever dots stand at the start of lines, the same text comes out."""
    raw = "".join(f"{line}\r\n" for line in lines).encode()
    mta = Mta()

    async def run() -> SendResult:
        async with mta_port(mta) as port:
            return await once(plain(port), raw)

    assert asyncio.run(run()).outcome == "sent"
    assert [mail[2] for mail in mta.mails] == [raw]


async def test_a_large_mail_arrives(cafile: str) -> None:
    """More than fits into any buffer, in order."""
    raw = b"".join(b"%070d\r\n" % n for n in range(100_000))
    mta = Mta()
    async with mta_port(mta, tls_context=server_context(), data_size_limit=None) as port:
        assert (await once(secured(port, cafile), raw)).outcome == "sent"
    assert [mail[2] for mail in mta.mails] == [raw]


async def test_login_over_tls(cafile: str) -> None:
    """The right password is used; a wrong one is our misconfiguration, and no mail is tried."""
    mta = Mta()
    async with mta_port(
        mta, tls_context=server_context(), require_starttls=True, auth_required=True, authenticator=mta.authenticate
    ) as port:
        assert (await once(secured(port, cafile, username="desk", password="secret"))).outcome == "sent"
        mta.commands.clear()
        refused = await once(secured(port, cafile, username="desk", password="wrong"))
        assert (refused.outcome, refused.reply[:3]) == ("misconfigured", "535")
        assert "AUTH" in mta.commands
        assert "MAIL" not in mta.commands
        unknown = await once(secured(port, cafile))
        assert (unknown.outcome, unknown.reply[:3]) == ("misconfigured", "530")
    assert len(mta.mails) == 1


@dataclass
class Purse:
    """Access tokens one after the other, as edge/oauth.TokenSource gives them."""

    tokens: list[str]
    thrown: int = 0

    async def token(self) -> str:
        if not self.tokens:
            raise TokenRefused("https://login.example/token: 400 invalid_grant")
        return self.tokens[0]

    def refused(self) -> None:
        self.thrown += 1
        self.tokens.pop(0)


async def test_xoauth2_takes_a_fresh_token_after_a_refusal(cafile: str) -> None:
    """A token may be revoked before its time; no mail is lost or failed of it."""
    good = base64.b64encode(b"user=desk\x01auth=Bearer good\x01\x01").decode()
    mta, seen = Mta(), []

    class Server(SMTP):
        async def auth_XOAUTH2(self, _: Any, args: list[str]) -> AuthResult:  # noqa: N802  # aiosmtpd looks for it
            seen.append(args[1])
            if args[1] != good:
                await self.challenge_auth(b'{"status":"401"}')
            return AuthResult(success=args[1] == good, handled=False, auth_data=LoginPassword(b"desk", b""))

    def server() -> SMTP:
        return Server(
            mta, hostname="mx.example", tls_context=server_context(), require_starttls=True, auth_required=True,
            authenticator=lambda *_: AuthResult(success=False),
        )

    async with listening(server) as port:
        purse = Purse(["revoked", "good"])
        host = secured(port, cafile, username="desk", tokens=purse)
        first = await once(host)
        assert (first.outcome, first.reply[:3], purse.thrown) == ("misconfigured", "535", 1)
        assert (await once(host)).outcome == "sent"
        assert len(seen) == 2
        broke = await once(secured(port, cafile, username="desk", tokens=Purse([])))
        assert (broke.outcome, "invalid_grant" in broke.reply) == ("misconfigured", True)
    assert len(mta.mails) == 1


# --- TLS is not negotiable ---


def test_a_password_without_tls_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="never sent without TLS"):
        plain(25, username="desk", password="secret")


def test_the_password_is_not_in_the_repr() -> None:
    assert "s3cr3t" not in repr(SmarthostSettings(host="h", helo="a", username="desk", password="s3cr3t"))


async def test_stripped_starttls_sends_neither_password_nor_mail(cafile: str) -> None:
    """A server, or somebody in between, that hides STARTTLS gets nothing."""
    log: list[bytes] = []
    async with scripted({"EHLO": b"250-mx\r\n250 AUTH PLAIN LOGIN"}, log=log) as port:
        result = await once(secured(port, cafile, username="desk", password="secret"))
    assert result.outcome == "misconfigured"
    assert "STARTTLS" in result.reply
    assert log == [b"EHLO acme.example\r\n"]


@pytest.mark.parametrize(("answer", "outcome"), [(b"454 4.7.0 later", "deferred"), (b"501 5.5.4 no", "misconfigured")])
async def test_refused_starttls_never_goes_on_in_clear(cafile: str, answer: bytes, outcome: str) -> None:
    log: list[bytes] = []
    async with scripted({"EHLO": b"250-mx\r\n250 STARTTLS", "STARTTLS": answer}, log=log) as port:
        assert (await once(secured(port, cafile))).outcome == outcome
    assert log == [b"EHLO acme.example\r\n", b"STARTTLS\r\n"]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize(("host", "ca"), [("other.example", CA), ("localhost", trustme.CA())], ids=["name", "issuer"])
async def test_a_certificate_that_does_not_verify_gets_no_mail(
    cafile: str, tls: str, host: str, ca: trustme.CA
) -> None:
    """Unless verification is off in the settings."""
    mta, context = Mta(), server_context(host, ca)
    running = implicit_port(mta, context) if tls == "implicit" else mta_port(mta, tls_context=context)
    async with running as port:
        result = await once(secured(port, cafile, tls=tls))
        assert result.outcome == "misconfigured"
        assert "certificate" in result.reply.lower()
        assert "MAIL" not in mta.commands
        assert (await once(secured(port, cafile, tls=tls, verify=False))).outcome == "sent"


async def test_implicit_tls_to_a_port_without_it_is_misconfigured(cafile: str) -> None:
    async with mta_port(Mta()) as port:
        assert (await once(secured(port, cafile, tls="implicit"))).outcome == "misconfigured"


# --- The other side says no ---


@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        ("450 4.2.1 mailbox busy", "deferred"),
        ("452 4.3.1 full", "deferred"),
        ("550 5.1.1 no such user", "failed"),
        ("554 5.7.1 looks like spam", "failed"),
        ("530 5.7.0 login first", "misconfigured"),
    ],
)
async def test_refusals_are_judged_and_the_session_goes_on(step: str, reply: str, outcome: str) -> None:
    """4yz again, 5yz never; the next mail goes over the same connection."""
    mta = Mta({step: reply})
    async with mta_port(mta) as port, Smarthost(plain(port)) as smarthost:
        assert await smarthost.send(SENDER, RECIPIENT, RAW) == SendResult(outcome, reply)  # type: ignore[arg-type]
        mta.replies.clear()
        assert (await smarthost.send(SENDER, RECIPIENT, RAW)).outcome == "sent"
    assert len(mta.mails) == len(mta.sessions) == 1


async def test_a_mail_over_the_size_limit_fails_before_it_is_sent() -> None:
    """RFC 1870: told by SIZE at MAIL."""
    mta = Mta()
    async with mta_port(mta, data_size_limit=100) as port:
        result = await once(plain(port), b"x" * 98 + b"\r\n" + RAW)
    assert (result.outcome, result.reply[:3]) == ("failed", "552")
    assert "MAIL" not in mta.commands


@pytest.mark.parametrize(
    ("step", "answer", "outcome"),
    [
        ("greeting", b"554 5.3.2 no service", "misconfigured"),
        ("greeting", b"421 4.3.2 busy", "deferred"),
        ("greeting", b"rubbish", "deferred"),
        ("EHLO", b"421 4.3.2 busy", "deferred"),
        ("EHLO", b"550 5.7.1 go away", "misconfigured"),
        ("MAIL", b"421 4.3.2 shutting down", "deferred"),
        ("RCPT", b"421 4.3.2 shutting down", "deferred"),
        ("RCPT", b"rubbish", "deferred"),
        ("RCPT", b"250-\xff\xfe\x1b[31m\r\n550 " + b"x" * 2000, "failed"),
        ("DATA", b"451 4.3.0 later", "deferred"),
        ("DATA", b"250 what?", "deferred"),
        ("TEXT", b"421 4.3.2 shutting down", "deferred"),
        ("TEXT", b"299 odd but positive", "sent"),
        ("TEXT", b"rubbish", "uncertain"),
        ("TEXT", b"354 go on", "uncertain"),
    ],
)
async def test_every_answer_has_an_outcome(step: str, answer: bytes, outcome: str) -> None:
    """Refusals before MAIL are about us; nonsense is never taken for success; replies are one safe line."""
    async with scripted({"DATA": b"354 go"} | {step: answer}) as port:
        result = await once(plain(port))
    assert result.outcome == outcome
    assert result.reply.isprintable()
    assert 0 < len(result.reply) <= 500


# --- The other side goes away ---


@pytest.mark.parametrize("end", [b"FIN", b"RST"])
@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        ("greeting", "deferred"),
        ("EHLO", "deferred"),
        ("MAIL", "deferred"),
        ("RCPT", "deferred"),
        ("DATA", "deferred"),
        ("TEXT", "uncertain"),
        ("QUIT", "sent"),
    ],
)
async def test_the_dot_divides_deferred_from_uncertain(step: str, outcome: str, end: bytes) -> None:
    """A connection lost before the final dot was written is deferred, after it uncertain, after 250 sent."""
    async with scripted({"DATA": b"354 go", "EHLO": b"250 mx"} | {step: b"", "end": end}) as port:
        assert (await once(plain(port))).outcome == outcome


@pytest.mark.parametrize("end", [b"FIN", b"RST"])
async def test_a_loss_in_the_middle_of_the_text_is_deferred(end: bytes) -> None:
    """The rest of a large mail was still with us, so the dot was certainly not sent."""
    raw = b"first\r\n" + b"x" * 70 * 200_000 + b"\r\n"
    async with scripted({"DATA": b"354 go", "TEXT": b"", "end": end}, text_end=b"first\r\n") as port:
        assert (await once(plain(port), raw)).outcome == "deferred"


async def test_a_refusal_in_the_middle_of_the_text_is_heard() -> None:
    """A server that answers 552 before the end and reads no more has refused the mail for good."""
    raw = b"first\r\n" + b"x" * 70 * 200_000 + b"\r\n"
    script = {"DATA": b"354 go", "TEXT": b"552 5.3.4 too big"}
    async with scripted(script, text_end=b"first\r\n") as port:
        assert await once(plain(port), raw) == SendResult("failed", "552 5.3.4 too big")


@pytest.mark.parametrize(
    ("step", "outcome"),
    [("greeting", "deferred"), ("EHLO", "deferred"), ("MAIL", "deferred"), ("DATA", "deferred"), ("TEXT", "uncertain")],
)
async def test_silence_is_judged_like_a_loss(step: str, outcome: str) -> None:
    short = {"connect_timeout": 0.3, "command_timeout": 0.3, "block_timeout": 0.3, "end_timeout": 0.3}
    async with scripted({"DATA": b"354 go"} | {step: b"-"}) as port:
        assert (await once(plain(port, **short))).outcome == outcome


async def test_a_server_that_stops_reading_is_deferred() -> None:
    """The text no longer flows, so the dot was not written."""
    raw = b"x" * 70 * 400_000 + b"\r\n"
    stuck = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hi\r\n")
        for answer in (b"250 mx", b"250 OK", b"250 OK", b"354 go"):
            await reader.readline()
            writer.write(answer + b"\r\n")
        await stuck.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert (await once(plain(port, block_timeout=0.3), raw)).outcome == "deferred"
        stuck.set()


async def test_nobody_listening_is_deferred() -> None:
    async with scripted({}) as port:
        pass
    assert (await once(plain(port))).outcome == "deferred"


async def test_a_silent_server_is_waited_for_once_and_not_by_every_mail() -> None:
    """Found in review: a hundred mails waited for the same silence one behind the other."""
    dialled = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal dialled
        dialled += 1
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Smarthost(plain(port, connect_timeout=0.3, connections=2)) as smarthost:
            results = await asyncio.gather(*(smarthost.send(SENDER, RECIPIENT, RAW) for _ in range(20)))
    assert {result.outcome for result in results} == {"deferred"}
    assert dialled == 2


async def test_a_server_that_is_back_is_dialled_again() -> None:
    mta = Mta()
    async with mta_port(mta) as port:
        pass
    async with Smarthost(plain(port, give_way=0.1)) as smarthost:
        assert (await smarthost.send(SENDER, RECIPIENT, RAW)).outcome == "deferred"
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: SMTP(mta, hostname="mx.example"), "127.0.0.1", port):
            await asyncio.sleep(0.1)
            assert (await smarthost.send(SENDER, RECIPIENT, RAW)).outcome == "sent"


# --- Connections are kept ---


async def test_connections_are_shared_and_limited() -> None:
    """One after the other over one connection; many at once over at most four, each mail once."""
    mta = Mta()
    async with mta_port(mta) as port, Smarthost(plain(port)) as smarthost:
        for _ in range(3):
            assert (await smarthost.send(SENDER, RECIPIENT, RAW)).outcome == "sent"
        assert len(mta.sessions) == 1
        raws = [b"%d\r\n" % n for n in range(40)]
        results = await asyncio.gather(*(smarthost.send(SENDER, RECIPIENT, raw) for raw in raws))
    assert {result.outcome for result in results} == {"sent"}
    assert sorted(mail[2] for mail in mta.mails[3:]) == sorted(raws)
    assert 2 <= len(mta.sessions) <= 4


async def test_a_connection_idle_for_too_long_is_replaced() -> None:
    mta = Mta()
    async with mta_port(mta) as port, Smarthost(plain(port, keep=-1)) as smarthost:
        for _ in range(2):
            assert (await smarthost.send(SENDER, RECIPIENT, RAW)).outcome == "sent"
    assert len(mta.sessions) == len(mta.mails) == 2


@pytest.mark.parametrize(
    ("answers", "outcome", "sessions"),
    [
        ([b""], "sent", 2),
        ([b"421 4.4.2 idle too long"], "sent", 2),
        ([b"", b""], "deferred", 2),
        ([b"450 4.2.1 busy"], "deferred", 1),
    ],
    ids=["hung up", "421", "twice", "refused"],
)
async def test_a_kept_connection_that_died_is_replaced_once(answers: list[bytes], outcome: str, sessions: int) -> None:
    """Only if the server had not answered MAIL; a fresh connection gets no second chance."""
    log: list[bytes] = []
    queues: dict[str, list[bytes]] = {}
    async with scripted({"DATA": b"354 go"}, log=log, queues=queues) as port, Smarthost(plain(port)) as smarthost:
        assert (await smarthost.send(SENDER, RECIPIENT, RAW)).outcome == "sent"
        queues["MAIL"] = list(answers)
        result = await smarthost.send(SENDER, RECIPIENT, RAW)
    assert (result.outcome, sum(line.startswith(b"EHLO") for line in log)) == (outcome, sessions)


async def test_a_kept_connection_lost_after_mail_is_not_tried_again() -> None:
    """Something of the mail was already sent; the schedule decides when it goes again."""
    script, log = {"DATA": b"354 go"}, list[bytes]()
    async with scripted(script, log=log) as port, Smarthost(plain(port)) as smarthost:
        assert (await smarthost.send(SENDER, RECIPIENT, RAW)).outcome == "sent"
        script["RCPT"] = b""
        assert (await smarthost.send(SENDER, RECIPIENT, RAW)).outcome == "deferred"
    assert sum(line.startswith(b"EHLO") for line in log) == 1


async def test_a_cancelled_send_gives_its_connection_up() -> None:
    """The half-finished session is never used for another mail, and its slot is free again."""
    script, log = {"DATA": b"-"}, list[bytes]()
    async with scripted(script, log=log) as port, Smarthost(plain(port, connections=1)) as smarthost:
        task = asyncio.create_task(smarthost.send(SENDER, RECIPIENT, RAW))
        while b"DATA\r\n" not in log:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        script["DATA"] = b"354 go"
        assert (await smarthost.send(SENDER, RECIPIENT, RAW)).outcome == "sent"
    assert sum(line.startswith(b"EHLO") for line in log) == 2


# --- What is never sent ---


@pytest.mark.parametrize(
    ("sender", "recipient", "raw"),
    [
        ("=?utf-8?q?a=0D=0ARCPT_TO:<x@y>?=@b.example", RECIPIENT, RAW),
        (SENDER, "a@b.example>\r\nRCPT TO:<x@y.example", RAW),
        (SENDER, "Name <a@b.example>", RAW),
        (SENDER, "", RAW),
        ("<>", RECIPIENT, RAW),
        (SENDER, RECIPIENT, b"bare\nline\r\n"),
        (SENDER, RECIPIENT, b"smuggled\r\n.\r\r\nMAIL FROM:<>\r\n"),
        (SENDER, RECIPIENT, b"no end"),
        (SENDER, RECIPIENT, b""),
    ],
)
async def test_bad_addresses_and_line_ends_never_reach_the_wire(sender: str, recipient: str, raw: bytes) -> None:
    """They fail before a connection is opened."""
    mta = Mta()
    async with mta_port(mta) as port, Smarthost(plain(port)) as smarthost:
        result = await smarthost.send(sender, recipient, raw)
    assert result.outcome == "failed"
    assert "not sent" in result.reply
    assert not mta.sessions
