"""B3: years of mail in an account on a real Dovecot become tickets, and nothing in the account changes."""

from __future__ import annotations

import imaplib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from servers import PASSWORD, Dovecot, Ports, free_ports, require_servers

from tests.crash.process import CHECKOUT, Site

pytestmark = [pytest.mark.journey, pytest.mark.servers]

USER = "anna@acme.example"
START = datetime(2024, 5, 6, 9, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def ports() -> Ports:
    require_servers()
    return free_ports()


@pytest.fixture(scope="module")
def dovecot(ports: Ports) -> Iterator[Dovecot]:
    root = Path(tempfile.mkdtemp(prefix="mailwicket-import-"))
    root.chmod(0o755)
    server = Dovecot(root / "dovecot", ports)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(root, ignore_errors=True)


def mail(name: str, sender: str, to: str, at: timedelta, answers: str = "") -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"], message["Date"] = sender, to, "Printer", START + at
    message["Message-ID"] = f"<{name}@x.example>"
    if answers:
        message["In-Reply-To"] = f"<{answers}@x.example>"
    message.set_content(f"This is {name}.\n")
    return message.as_bytes().replace(b"\n", b"\r\n")


def fill(ports: Ports) -> None:
    client = imaplib.IMAP4("127.0.0.1", ports.imap)
    client.login(USER, PASSWORD)
    client.create('"Sent Items"')
    for number in range(60):    # more than one command fetches
        asked = mail(f"q{number}", f"c{number}@cust.example", "support@acme.example", number * HOUR)
        client.append("INBOX", None, imaplib.Time2Internaldate(START + number * HOUR), asked)
    # From an address that nobody configured: that it lies in the Sent folder says who wrote it.
    client.append('"Sent Items"', r"(\Seen)", imaplib.Time2Internaldate(START + 3 * HOUR), mail("a0", "boss@home.example", "c0@cust.example", 3 * HOUR, "q0"))
    client.logout()


def state_of(ports: Ports) -> list[Any]:
    """All that could change by being read."""
    client = imaplib.IMAP4("127.0.0.1", ports.imap)
    client.login(USER, PASSWORD)
    found: list[Any] = []
    for folder in ("INBOX", '"Sent Items"'):
        found.append(client.status(folder, "(MESSAGES UNSEEN RECENT UIDNEXT)"))
        client.select(folder, readonly=True)
        found.append(client.fetch("1:*", "(UID FLAGS)"))
    client.logout()
    return found


def imported(site: Site, password: Path, *sources: str) -> dict[str, Any]:
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", "import", "--shadow", "--json", "--config", str(site.config), "--password-file", str(password), *sources],
        cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return dict(json.loads(ran.stdout))


def test_an_account_is_imported_with_its_sent_folder_and_left_as_it_was(dovecot: Dovecot, ports: Ports, tmp_path: Path) -> None:
    fill(ports)
    password = tmp_path / "password"
    password.write_text(f"{PASSWORD}\n")
    site = Site(tmp_path / "site")
    before = state_of(ports)
    account = f"imap://{USER.replace('@', '%40')}@127.0.0.1:{ports.imap}"
    told = imported(site, password, f"{account}/INBOX", f"{account}/Sent%20Items")
    assert (told["read"], told["new"], told["tickets"], told["unreadable"]) == (61, 61, 60, [])
    assert state_of(ports) == before
    assert imported(site, password, account)["known"] == 60
    with site.books() as books:
        books.assert_folded()
        assert books.rows("SELECT count(*) FROM ticket WHERE first_reply_at IS NOT NULL") == [(1,)]
        assert books.rows("SELECT first_reply_at - created_at FROM ticket WHERE first_reply_at IS NOT NULL") == [(3 * HOUR,)]


def test_a_refused_login_or_a_wrong_folder_is_told_with_its_remedy(dovecot: Dovecot, ports: Ports, tmp_path: Path) -> None:
    password = tmp_path / "password"
    site = Site(tmp_path / "site")
    account = f"imap://{USER.replace('@', '%40')}@127.0.0.1:{ports.imap}"
    for secret, folder, words in (("wrong", "INBOX", "check username and password"), (PASSWORD, "Nowhere", "check the folder's name")):
        password.write_text(f"{secret}\n")
        ran = subprocess.run(
            [sys.executable, "-m", "gateway", "import", "--config", str(site.config), "--password-file", str(password), f"{account}/{folder}"],
            cwd=CHECKOUT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
        )
        assert ran.returncode == 1
        assert words in ran.stderr
        assert "wrong" not in ran.stderr.replace("folder", "")
