"""``mailwicket explain``: what would be read, threaded, decided, and why.

Nothing is stored. Mails go through the same guarded parser processes and the same pure rooms as in
the gateway. With a gateway running, ``explain`` is answered from its store; without one a mail meets
an empty desk, and the output says so.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.config import Config
from gateway.core.classify import classify
from gateway.core.context import Context
from gateway.core.model import Classification, Envelope, Mail, Report
from gateway.core.quote import split_reply
from gateway.edge.control import NotRunning, ask
from gateway.edge.frames import plain_mail
from gateway.edge.rules import RuleBook
from gateway.edge.workers import ParserPool
from gateway.mime.charsets import decode
from gateway.mime.compose import Composer
from gateway.mime.headers import as_written
from gateway.mime.html_reply import html_to_text
from gateway.pipeline import Rooms, explain
from gateway.rehearse import spooled, told
from gateway.show import clean

Body = Literal["mail", "text", "html"]
Row = dict[str, Any]
TEMPLATES = Path(__file__).parent / "templates"
AT_ONCE = 100
NOBODY = Envelope(channel="import", received_at=datetime(1970, 1, 1, tzinfo=UTC), mail_from="", rcpt_tos=())


def explain_files(config: Config, files: Sequence[Path], *, as_json: bool, body: Body = "mail") -> int:
    """Print one JSON object a file, or a page for people. A file that cannot be read is said so; exit code 0."""
    if body != "mail":
        rows: Iterable[Row] = (_bare(path, body) for path in files)
    elif as_json:
        rows = asyncio.run(_explained(config, files))
    else:
        return _for_people(config, files)
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n" if as_json else f"{clean(row['reply_text'], lines=True)}\n")
    return 0


async def _explained(config: Config, files: Sequence[Path]) -> list[Row]:
    out: list[Row] = []
    pool = ParserPool(config.workers)
    await pool.start()
    try:
        for begin in range(0, len(files), AT_ONCE):
            chunk = files[begin : begin + AT_ONCE]
            raws = [_bytes(path) for path in chunk]
            mails = await pool.parse_many([raw for raw in raws if isinstance(raw, bytes)])
            parsed = iter(mails)
            out += [
                {"file": str(path), "error": raw} if isinstance(raw, str) else json_row(str(path), next(parsed), config)
                for path, raw in zip(chunk, raws, strict=True)
            ]
    finally:
        await pool.close()
    return out


def json_row(file: str, mail: Mail, config: Config) -> Row:
    """The contract of ``explain --json``: what was read, as text that any JSON reader takes."""
    kind = classified(mail, config)
    return {
        "file": file,
        "error": None,
        "subject": mail.subject,
        "date": mail.date.isoformat() if mail.date else None,
        "from": _from(mail),
        "to": [a.address for a in mail.to],
        "message_id": mail.message_id,
        "text": mail.text,
        "attachments": [
            {"name": p.name, "content_type": p.content_type, "size": p.size, "sha256": p.sha256} for p in mail.parts
        ],
        "class": kind.mail_class,
        "class_why": kind.why,
        "bounces": [
            {"recipient": b.recipient, "status": b.status, "permanent": b.permanent, "derived": b.derived, "reason": b.reason,
             "diagnostic": b.diagnostic}
            for b in (kind.bounces if kind.mail_class == "bounce" else ())
        ],
        "back_on": kind.back_on.isoformat() if kind.back_on else None,
        "reply_text": split_reply(mail.text).new,
        "opaque": mail.opaque,
        "defects": list(mail.defects),
    }


def _from(mail: Mail) -> dict[str, str] | None:
    """Who wrote it, or what stands there: a bounce may come from a name alone."""
    if mail.sender is not None:
        return {"name": mail.sender.name, "address": mail.sender.address}
    name, address = as_written(mail.header("from"))
    return {"name": name, "address": address} if name or address else None


def classified(mail: Mail, config: Config) -> Classification:
    """The class by the mail alone: its envelope is not known from a file."""
    envelope = NOBODY
    returned = mail.header("return-path").strip()
    if returned == "<>":
        envelope = Envelope(channel="import", received_at=NOBODY.received_at, mail_from=None, rcpt_tos=())
    return classify(mail, envelope, own_addresses=config.policy.own_addresses(), own=False, bounce_address=False)


def _bare(path: Path, body: Body) -> Row:
    raw = _bytes(path)
    if isinstance(raw, str):
        return {"file": str(path), "error": raw, "reply_text": ""}
    text, _ = decode(raw, None)
    return {"file": str(path), "error": None, "reply_text": split_reply(html_to_text(text) if body == "html" else text).new}


def _bytes(path: Path) -> bytes | str:
    try:
        return path.read_bytes()
    except OSError as error:
        return f"cannot be read: {error.strerror}"


# --- For people -----------------------------------------------------------------------------


def _for_people(config: Config, files: Sequence[Path]) -> int:
    console = Console()
    raws = [(path, _bytes(path)) for path in files]
    mails = iter(asyncio.run(_parsed(config, [raw for _, raw in raws if isinstance(raw, bytes)])))
    for path, raw in raws:
        console.rule(Text(clean(str(path))))
        if isinstance(raw, str):
            console.print(Text(raw, style="red"))
            continue
        console.print(_page(next(mails), config))
    return 0


async def _parsed(config: Config, raws: list[bytes]) -> list[Mail]:
    pool = ParserPool(config.workers)
    await pool.start()
    try:
        return await pool.parse_many(raws)
    finally:
        await pool.close()


def _page(mail: Mail, config: Config) -> Table:
    """What was read, how it was threaded, what would be done, step by step."""
    table = Table(show_header=False, box=None, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    sender = f"{mail.sender.name} <{mail.sender.address}>" if mail.sender else "(nobody)"
    steps, desk = _steps(mail, config)
    lines: list[tuple[str, str]] = [
        ("from", sender), ("subject", mail.subject), ("date", mail.date.isoformat() if mail.date else "(none)"),
        ("text", mail.text.strip()[:1500] or "(none)"),
        ("attachments", ", ".join(f"{p.name} ({p.size} bytes)" for p in mail.parts) or "(none)"),
        ("defects", ", ".join(mail.defects) or "(none)"),
        *(("bounced", _told(report)) for report in classified(mail, config).bounces[:20]),
        *steps, ("asked", desk),
    ]
    for name, value in lines:
        table.add_row(name, Text(clean(value, lines=True)))
    return table


def _told(report: Report) -> str:
    status = f"{report.status} (from its words)" if report.derived else report.status
    again = "" if report.gave_up else "; the server still tries"
    return f"{report.recipient or '(nobody named)'}: {status} {report.reason}{again}".rstrip()


def _steps(mail: Mail, config: Config) -> tuple[list[tuple[str, str]], str]:
    """The reasons in order, from the running gateway's store, or from an empty desk; and which of the two."""
    try:
        rows = list(ask(config.control_socket, "explain", {"mail": plain_mail(mail)}))
    except NotRunning:
        rooms = Rooms(
            policy=config.policy, rules=RuleBook(config.policy.rules), composer=Composer(TEMPLATES, config.policy)
        )
        decision = explain(spooled(mail, config.policy), Context(), rooms, now=datetime.now(UTC))
        return told(decision), "an empty desk: no gateway runs here, so no ticket is known"
    return [(row["code"], row["detail"]) for row in rows], "the running gateway, with all its tickets"
