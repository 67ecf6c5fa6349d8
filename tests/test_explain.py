"""explain: what is printed for programs and for people, with and without a gateway."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiosmtplib
import pytest

from gateway import config as configuration
from gateway.demo import TOML, desk
from gateway.explain import explain_files

MAIL = (
    "From: =?utf-8?q?J=C3=B6rg?= <joerg@cust.example>\r\nTo: support@acme.example\r\nSubject: Re: [ABC-1] Printer\r\n"
    "Message-ID: <2@cust.example>\r\nDate: Mon, 23 Nov 2026 09:00:00 +0000\r\n\r\nIt burns.\r\n\r\n> quoted\r\n"
)


def config(tmp_path: Path) -> configuration.Config:
    file = tmp_path / "mailwicket.toml"
    file.write_text(TOML.format(state=tmp_path / "state", out=tmp_path / "out", smtp=0, lmtp=0).replace(':0"', ':1"'))
    file.write_text(file.read_text().replace('smtp = "127.0.0.1:1"', 'smtp = "127.0.0.1:0"').replace(
        'lmtp = "127.0.0.1:1"', 'lmtp = "off"'
    ))
    return configuration.load(file)


def test_one_json_object_a_file_in_their_order_and_unreadable_files_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, missing = tmp_path / "good.eml", tmp_path / "missing.eml"
    good.write_bytes(MAIL.encode())
    assert explain_files(config(tmp_path), [good, missing], as_json=True) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["file"] == str(good)
    assert (first["error"], first["subject"], first["class"]) == (None, "Re: [ABC-1] Printer", "human")
    assert first["from"] == {"name": "Jörg", "address": "joerg@cust.example"}
    assert first["date"] == "2026-11-23T09:00:00+00:00"
    assert first["reply_text"].strip() == "It burns."
    assert "cannot be read" in second["error"]


@pytest.mark.parametrize(("body", "raw"), [("text", "New.\n\n> old\n"), ("html", "<p>New.</p><blockquote>old</blockquote>")])
def test_a_bare_body_is_stripped_as_a_reply(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, raw: str
) -> None:
    (tmp_path / "body").write_text(raw)
    explain_files(config(tmp_path), [tmp_path / "body"], as_json=True, body=body)  # type: ignore[arg-type]
    assert json.loads(capsys.readouterr().out)["reply_text"].strip() == "New."


def test_without_a_gateway_people_read_what_an_empty_desk_would_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mail.eml").write_bytes(MAIL.encode())
    explain_files(config(tmp_path), [tmp_path / "mail.eml"], as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "an empty desk" in shown
    assert "thread none:" in shown
    assert "joerg@cust.example (ack)" in shown


async def test_a_running_gateway_explains_with_the_tickets_it_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same mail that is new to an empty desk belongs to a ticket here, and nothing is written by asking."""
    (tmp_path / "mail.eml").write_bytes(MAIL.encode())
    known = config(tmp_path)
    async with desk(known) as gateway, asyncio.timeout(30):
        port = int(gateway.doors["smtp"])
        first = "From: joerg@cust.example\r\nTo: support@acme.example\r\nSubject: Printer\r\nMessage-ID: <1@cust.example>\r\n\r\nSmoke.\r\n"
        await aiosmtplib.send(first.encode(), sender="joerg@cust.example", recipients=["support@acme.example"], hostname="127.0.0.1", port=port, start_tls=False)
        while not list((tmp_path / "out" / "new").glob("*")):
            await asyncio.sleep(0.05)
        for _ in range(2):
            await asyncio.to_thread(explain_files, known, [tmp_path / "mail.eml"], as_json=False)
            shown = " ".join(capsys.readouterr().out.split())
            assert "the running gateway" in shown
            assert "appended ABC-1" in shown
            assert "joerg@cust.example (ack)" not in shown


def test_a_bounce_says_whom_it_is_about_and_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To programs the fields, to people one line a recipient; a status out of words is called so."""
    mails = Path(__file__).parent / "mails" / "bounces"
    known = config(tmp_path)
    explain_files(known, [mails / "qmail-no-code.eml"], as_json=True)
    row = json.loads(capsys.readouterr().out)
    assert row["class"] == "bounce"
    assert row["bounces"] == [{
        "recipient": "mara@river.example", "status": "5.2.2", "permanent": True, "derived": True, "reason": "the mailbox is full",
        "diagnostic": "Remote host said: 552 Error: mailbox quota exceeded",
    }]
    explain_files(known, [mails / "qmail-no-code.eml", mails / "exim-delay.eml"], as_json=False)
    shown = " ".join(capsys.readouterr().out.split())
    assert "mara@river.example: 5.2.2 (from its words) the mailbox is full" in shown
    assert "4.2.0 the server of the recipient has a fault; the server still tries" in shown
