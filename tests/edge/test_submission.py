"""The agents' door: who gets in, as whom he may write, and that guessing leads nowhere."""

from __future__ import annotations

import asyncio
import base64
import logging
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from gateway.edge import logins
from gateway.edge.logins import Cost, Guesses, Users, make_hash, matches, read_users, write_user
from gateway.edge.smtp_receive import Door
from gateway.edge.smtp_settings import Submission
from gateway.errors import StateError
from tests.edge.door import SETTINGS, Peer, opened, stored

pytestmark = pytest.mark.asyncio
CHEAP = Cost(ln=4)
PASSWORD = "correct horse, pferd"
ANNA, BERT = "anna@acme.example", "bert@acme.example"
AGENTS = (("anna", (ANNA, "anna.ek@acme.example")), ("bert", (BERT,)))
MAIL = f"From: Anna <{ANNA}>\r\nTo: ann@cust.example\r\nSubject: x\r\n\r\nHello.\r\n".encode()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    write_user(path, "anna", make_hash(PASSWORD, CHEAP))
    write_user(path, "bert", make_hash("another password", CHEAP))
    return path


class Place:
    """A submission door and a way to visit it."""

    def __init__(self, door: Door, authority: trustme.CA, implicit: bool) -> None:
        self.door, self.implicit = door, implicit
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)

    async def visit(self, *, plain: bool = False) -> Peer:
        """Behind TLS and greeted, EHLO said; ``plain`` stays before STARTTLS."""
        tls = self.client if self.implicit else None
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.door.port, ssl=tls, server_hostname="localhost" if tls else None, limit=1 << 20
        )
        peer = Peer(reader, writer)
        assert (await peer.reply()).startswith("220 ")
        if not self.implicit and not plain:
            await peer.say(b"EHLO laptop.acme.example")
            assert (await peer.say(b"STARTTLS")).startswith("220")
            await writer.start_tls(self.client, server_hostname="localhost")
            reader._transport = writer.transport
        await peer.say(b"EHLO laptop.acme.example")
        return peer

    async def agent(self, name: str = "anna", password: str = PASSWORD) -> Peer:
        peer = await self.visit()
        assert (await peer.say(plain(name, password))).startswith("235 2.7.0")
        return peer


def b64(text: str | bytes) -> bytes:
    return base64.b64encode(text.encode() if isinstance(text, str) else text)


def plain(name: str, password: str, acts_for: str = "") -> bytes:
    return b"AUTH PLAIN " + b64(f"{acts_for}\0{name}\0{password}")


@pytest.fixture
def settings(users: Path, authority: trustme.CA) -> object:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)
    return replace(SETTINGS, tls=tls, submission=Submission(
        users_file=users, agents=AGENTS, closed_domains=frozenset({"reply.acme.example"})
    ))


@pytest.fixture(params=[True, False], ids=["implicit", "starttls"])
async def place(request: pytest.FixtureRequest, tmp_path: Path, settings: object, authority: trustme.CA) -> AsyncIterator[Place]:
    changed = replace(settings, submission=replace(settings.submission, implicit=request.param))
    async with opened(tmp_path / "spool", changed) as door:
        yield Place(door, authority, request.param)


@pytest.fixture
async def one(tmp_path: Path, settings: object, authority: trustme.CA) -> AsyncIterator[Place]:
    async with opened(tmp_path / "spool", settings) as door:
        yield Place(door, authority, implicit=True)


# --- The way in -----------------------------------------------------------------------------


async def test_an_agent_logs_in_and_her_mail_says_so(place: Place, tmp_path: Path) -> None:
    peer = await place.visit()
    assert "AUTH PLAIN LOGIN" in await peer.say(b"EHLO laptop.acme.example")
    assert await peer.say(plain("anna", PASSWORD)) == "235 2.7.0 Welcome"
    assert "AUTH" not in await peer.say(b"EHLO laptop.acme.example")
    assert (await peer.say(f"MAIL FROM:<{ANNA}> AUTH=<> BODY=8BITMIME".encode())).startswith("250")
    for to in (b"ann@cust.example", b"support@acme.example", b"t-1@reply.acme.example", b"colleague@acme.example"):
        assert (await peer.say(b"RCPT TO:<" + to + b">")).startswith("250")
    await peer.say(b"DATA")
    assert (await peer.say(MAIL + b".")).startswith("250 2.0.0")
    await peer.close()
    ((envelope, raw),) = stored(tmp_path / "spool")
    assert (envelope.channel, envelope.login, envelope.tls, envelope.relay) == ("submission", "anna", True, None)
    assert envelope.rcpt_tos == ("ann@cust.example", "support@acme.example", "t-1@reply.acme.example", "colleague@acme.example")
    assert raw == MAIL


WAYS = {
    "plain at once": [plain("anna", PASSWORD)],
    "plain by an address": [plain("Anna.Ek@acme.example", PASSWORD)],
    "plain as oneself": [plain("anna", PASSWORD, "anna")],
    "plain after the prompt": [b"AUTH PLAIN", b64(f"\0anna\0{PASSWORD}")],
    "login": [b"AUTH LOGIN", b64("anna"), b64(PASSWORD)],
    "login at once": [b"auth login " + b64("anna"), b64(PASSWORD)],
}
NO_WAYS = {
    "wrong": ([plain("anna", "wrong")], "535 5.7.8"),
    "unknown": ([plain("nobody", PASSWORD)], "535 5.7.8"),
    "another's": ([plain("bert", PASSWORD)], "535 5.7.8"),
    "as another": ([plain("anna", PASSWORD, "bert")], "535 5.7.8"),
    "empty": ([plain("anna", "")], "501 5.5.2"),
    "no base64": ([b"AUTH PLAIN %%%"], "501 5.5.2"),
    "no utf-8": ([b"AUTH PLAIN " + b64(b"\0anna\0\xff")], "501 5.5.2"),
    "four fields": ([b"AUTH PLAIN " + b64("\0anna\0a\0b")], "501 5.5.2"),
    "equals sign": ([b"AUTH PLAIN ="], "501 5.5.2"),
    "cancelled": ([b"AUTH LOGIN", b"*"], "501 5.7.0"),
    "too long": ([b"AUTH PLAIN", b"QUJD" * 4_000], "500 5.5.6"),
    "a megabyte": ([b"AUTH PLAIN", b"A" * 1_000_000], "500 5.5.6"),
    "another mechanism": ([b"AUTH CRAM-MD5"], "504 5.5.4"),
    "no mechanism": ([b"AUTH"], "504 5.5.4"),
}


@pytest.mark.parametrize("lines", WAYS.values(), ids=WAYS.keys())
async def test_each_way_to_log_in(one: Place, lines: list[bytes]) -> None:
    peer = await one.visit()
    answers = [await peer.say(line) for line in lines]
    assert answers[-1].startswith("235")
    assert all(a.startswith("334 ") for a in answers[:-1])
    assert (await peer.say(plain("anna", PASSWORD))).startswith("503"), "once is enough"
    await peer.close()


@pytest.mark.parametrize(("lines", "code"), NO_WAYS.values(), ids=NO_WAYS.keys())
async def test_input_21_no_other_way(one: Place, lines: list[bytes], code: str, caplog: pytest.LogCaptureFixture) -> None:
    """Refused, the connection goes on, and no log has what was typed."""
    caplog.set_level(logging.DEBUG)
    peer = await one.visit()
    answers = [await peer.say(line) for line in lines]
    assert answers[-1].startswith(code)
    assert (await peer.say(f"MAIL FROM:<{ANNA}>".encode())).startswith("530 5.7.0")
    await peer.close()
    for secret in (PASSWORD, "nobody", b64(f"\0anna\0{PASSWORD}").decode()):
        assert secret not in caplog.text


async def test_input_21_nothing_works_before_tls(tmp_path: Path, settings: object, authority: trustme.CA) -> None:
    changed = replace(settings, submission=replace(settings.submission, implicit=False))
    async with opened(tmp_path / "spool", changed) as door:
        place = Place(door, authority, implicit=False)
        peer = await place.visit(plain=True)
        assert "AUTH" not in await peer.say(b"EHLO x")
        assert (await peer.say(plain("anna", PASSWORD))).startswith("538 5.7.11")
        assert await peer.say(f"MAIL FROM:<{ANNA}>".encode()) == "530 5.7.0 Send STARTTLS first"
        await peer.say(b"HELO x")
        assert (await peer.say(plain("anna", PASSWORD))).startswith("503")
        await peer.close()


async def test_a_login_in_the_clear_before_starttls_is_forgotten(tmp_path: Path, settings: object, authority: trustme.CA) -> None:
    """RFC 3207 §4.2, input 18: what stands behind STARTTLS in the same segment is thrown away."""
    changed = replace(settings, submission=replace(settings.submission, implicit=False))
    async with opened(tmp_path / "spool", changed) as door:
        place = Place(door, authority, implicit=False)
        peer = await place.visit(plain=True)
        await peer.send(b"STARTTLS\r\n" + plain("anna", PASSWORD) + b"\r\n")
        assert (await peer.reply()).startswith("220")
        await peer.writer.start_tls(place.client, server_hostname="localhost")
        peer.reader._transport = peer.writer.transport
        await peer.say(b"EHLO x")
        assert (await peer.say(f"MAIL FROM:<{ANNA}>".encode())).startswith("530")
        await peer.close()


# --- As whom --------------------------------------------------------------------------------

FROMS = {
    "hers": (f"From: Anna <{ANNA}>", "250"),
    "her other one": ("From: Anna.Ek@ACME.example", "250"),
    "folded": (f"From: Anna\r\n <{ANNA}>", "250"),
    "a colleague's": (f"From: {BERT}", "550 5.7.1"),
    "two fields": (f"From: {ANNA}\r\nFrom: {BERT}", "550 5.7.1"),
    "two equal fields": (f"From: {ANNA}\r\nFrom: {ANNA}", "550 5.7.1"),
    "two mailboxes": (f"From: {ANNA}, {BERT}", "550 5.7.1"),
    "a name that is another": (f'From: "{BERT}" <{ANNA}>', "550 5.7.1"),
    "none": ("X: y", "550 5.7.1"),
    "below the fold": ("X-Long: " + "\r\n ".join("x" * 900 for _ in range(80)) + f"\r\nFrom: {ANNA}", "550 5.7.1"),
}


@pytest.mark.parametrize(("header", "code"), FROMS.values(), ids=FROMS.keys())
async def test_input_21_logged_in_as_one_with_from_another(one: Place, tmp_path: Path, header: str, code: str) -> None:
    peer = await one.agent()
    await peer.say(f"MAIL FROM:<{ANNA}>".encode())
    await peer.say(b"RCPT TO:<ann@cust.example>")
    await peer.say(b"DATA")
    assert (await peer.say(header.encode() + b"\r\nSubject: x\r\n\r\nHello.\r\n.")).startswith(code)
    await peer.close()
    assert len(stored(tmp_path / "spool")) == (code == "250")
    assert not list((tmp_path / "spool" / "tmp").iterdir())


async def test_a_refused_mail_that_was_large_leaves_nothing_behind(one: Place, tmp_path: Path) -> None:
    peer = await one.agent()
    await peer.send(f"MAIL FROM:<{ANNA}>\r\nRCPT TO:<ann@cust.example>\r\nDATA\r\nFrom: {BERT}\r\n\r\n".encode())
    await peer.send(b"x" * 78 + b"\r\n")
    await peer.send((b"y" * 78 + b"\r\n") * 5_000 + b".\r\n")
    answers = [await peer.reply() for _ in range(4)]
    assert answers[-1].startswith("550 5.7.1")
    await peer.close()
    assert stored(tmp_path / "spool") == []
    assert not list((tmp_path / "spool" / "tmp").iterdir())


@pytest.mark.parametrize("path", [f"<{BERT}>", "<>", "<anna@evil.example>"])
async def test_the_envelope_sender_must_be_hers(one: Place, path: str) -> None:
    peer = await one.agent()
    assert (await peer.say(f"MAIL FROM:{path}".encode())).startswith("553 5.7.1")
    assert (await peer.say(b"RCPT TO:<ann@cust.example>")).startswith("503")
    await peer.close()


async def test_recipients_are_ours_or_outside_but_not_made_up(one: Place) -> None:
    peer = await one.agent()
    await peer.say(f"MAIL FROM:<{ANNA}>".encode())
    assert (await peer.say(b"RCPT TO:<t-2@reply.acme.example>")).startswith("550 5.1.1")
    assert (await peer.say(b"RCPT TO:<=?utf-8?q?a?=@b.example>")).startswith("553")
    assert (await peer.say(f"RCPT TO:<{BERT}>".encode())).startswith("250")
    assert (await peer.say(b"DATA")).startswith("550 5.7.1 Only to colleagues")
    await peer.close()


async def test_who_is_not_logged_in_names_no_outside_address(tmp_path: Path) -> None:
    """The other doors relay for nobody."""
    async with opened(tmp_path) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        peer = Peer(reader, writer)
        await peer.reply()
        await peer.say(b"EHLO x")
        assert (await peer.say(plain("anna", PASSWORD))).startswith("500 5.5.1")
        assert (await peer.say(f"MAIL FROM:<{ANNA}> AUTH=<>".encode())).startswith("555")
        await peer.say(f"MAIL FROM:<{ANNA}>".encode())
        assert (await peer.say(b"RCPT TO:<ann@cust.example>")).startswith("550 5.1.1")
        await peer.close()


# --- Guessing -------------------------------------------------------------------------------


async def test_input_21_a_thousand_guesses(one: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three a connection, ten a network; what comes then costs us no scrypt, and the right password neither."""
    tried: list[str] = []
    genuine = Users.check

    def check(self: Users, login: str, password: str) -> bool:
        tried.append(password)
        return genuine(self, login, password)

    monkeypatch.setattr(Users, "check", check)

    async def guess(number: int) -> list[str]:
        peer = await one.visit()
        await peer.send(b"".join(plain("anna", f"guess {number}.{n}") + b"\r\n" for n in range(50)))
        said = await peer.rest()
        await peer.close()
        return said

    for start in range(0, 20, 5):
        await asyncio.gather(*(guess(start + n) for n in range(5)))
    assert len(tried) == 10
    peer = await one.visit()
    assert (await peer.say(plain("anna", PASSWORD))).startswith("454 4.7.0")
    assert len(tried) == 10
    await peer.close()


async def test_a_third_wrong_password_ends_the_connection(one: Place) -> None:
    peer = await one.visit()
    for code in ("535", "535", "421"):
        assert (await peer.say(plain("anna", "wrong"))).startswith(code)
    assert await peer.rest() == []
    await peer.close()


async def test_the_loop_goes_on_while_a_password_is_checked(one: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Users, "check", lambda *_: time.sleep(1.0) or True)
    peer, other = await one.visit(), await one.visit()
    await peer.send(plain("anna", PASSWORD) + b"\r\n")
    await asyncio.sleep(0.05)
    began = time.monotonic()
    assert (await other.say(b"NOOP")).startswith("250")
    waited = time.monotonic() - began
    assert (await peer.reply()).startswith("235")
    assert waited < time.monotonic() - began
    await peer.close(), await other.close()


async def test_a_users_file_that_others_may_read_lets_nobody_in(one: Place, users: Path) -> None:
    users.chmod(0o644)
    peer = await one.visit()
    assert (await peer.say(plain("anna", PASSWORD))).startswith("454 4.7.0 Temporary")
    await peer.close()


async def test_silence_instead_of_a_handshake_is_a_connection_that_ends(tmp_path: Path, settings: object) -> None:
    """It counts as one who is inside, so a thousand of them are refused like any others."""
    async with opened(tmp_path / "spool", settings, tls_seconds=0.3, connections_per_network=1) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
        second, other = await asyncio.open_connection("127.0.0.1", door.port)
        assert await asyncio.wait_for(second.read(), 10) == b"", "one too many, and no word in the clear"
        assert await asyncio.wait_for(reader.read(), 10) == b""
        third, last = await asyncio.open_connection("127.0.0.1", door.port)
        last.write(b"EHLO x\r\nQUIT\r\n")
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            assert b"220" not in await asyncio.wait_for(third.readexactly(1 << 20), 10)
        for each in (writer, other, last):
            each.close()


# --- Passwords and counts --------------------------------------------------------------------


async def test_a_hash_matches_its_password_in_any_normal_form_and_nothing_else() -> None:
    known = make_hash("Zürich 12345", CHEAP)
    assert matches("Zu\u0308rich 12345", known)
    assert not matches("Zurich 12345", known)
    assert make_hash("Zürich 12345", CHEAP) != known, "salted"
    assert known.startswith("$scrypt$ln=4,r=8,p=5$")
    for broken in ("", "x", known[:-3] + "%%%", known.replace("ln=4", "ln=99"), known.replace("r=8", "r=0"), known[:-1]):
        assert not matches("Zürich 12345", broken)


async def test_an_unknown_login_is_worth_the_same_work(users: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work: list[tuple[int, int, int]] = []
    genuine = logins._scrypt
    monkeypatch.setattr(logins, "_scrypt", lambda p, s, c: work.append((c.ln, c.r, c.p)) or genuine(p, s, c))
    write_user(users, "anna", make_hash(PASSWORD))
    work.clear()
    known = Users(users)
    assert known.check("anna", PASSWORD)
    assert not known.check("", PASSWORD)
    assert not known.check("anna", "wrong")
    assert len(set(work)) == 1
    assert len(work) == 3


async def test_a_changed_file_counts_at_once(users: Path) -> None:
    known = Users(users)
    assert known.check("anna", PASSWORD)
    write_user(users, "anna", make_hash("a new password", CHEAP))
    assert not known.check("anna", PASSWORD)
    assert known.check("anna", "a new password")
    write_user(users, "anna", None)
    assert not known.check("anna", "a new password")
    users.unlink()
    assert not known.check("bert", "another password")


async def test_the_file_is_private_and_whole(users: Path, tmp_path: Path) -> None:
    assert users.stat().st_mode & 0o777 == 0o600
    users.write_text("# who may log in\n\n" + users.read_text())
    assert sorted(read_users(users)) == ["anna", "bert"]
    users.write_text("anna:secret\n")
    with pytest.raises(StateError, match=r"users:1 .*mailwicket password"):
        read_users(users)
    users.chmod(0o640)
    with pytest.raises(StateError, match="chmod 600"):
        read_users(users)
    with pytest.raises(StateError, match="cannot be read"):
        read_users(tmp_path / "nothing")


async def test_guesses_come_back_one_a_minute_and_tables_stay_small() -> None:
    now = [0.0]
    guesses = Guesses(lambda: now[0], per_network=3, per_login=5, most=50)
    assert [guesses.begin("a", "anna") for _ in range(4)] == [True, True, True, False]
    now[0] += 60.0
    assert [guesses.begin("a", "anna") for _ in range(2)] == [True, False]
    for number in range(1_000):
        guesses.begin(f"net {number}", f"login {number}")
        guesses.right(f"net {number}", f"login {number}")
    assert max(len(guesses._known), *map(len, guesses._spent.values())) <= 50


async def test_a_network_that_an_agent_came_from_is_not_shut_by_strangers() -> None:
    guesses = Guesses(lambda: 0.0, per_network=10, per_login=5)
    assert guesses.begin("home", "anna")
    guesses.right("home", "anna")
    assert [guesses.begin(f"evil {n}", "anna") for n in range(7)] == [True] * 5 + [False] * 2
    assert not guesses.begin("a new place", "anna")
    for _ in range(20):
        assert guesses.begin("home", "anna")
        guesses.right("home", "anna")
