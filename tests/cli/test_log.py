"""The log: no secret, no forged line, libraries included."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from gateway import log
from gateway.core.model import SignedId, Token
from gateway.core.token import Keyring, make_address, make_bounce, make_mark, make_message_id

KEYS = Keyring(current="a", secrets=(("a", b"k" * 32),))
CANARY = "c4narySecret"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level, structlog.get_config(), logging.getLogger("mail.log").level
    yield
    root.handlers[:], root.level = before[0], before[1]
    structlog.configure(**before[2])
    logging.getLogger("mail.log").setLevel(before[3])


def written(style: str, write: Any) -> str:
    stream = io.StringIO()
    log.configure(style, "debug", stream)  # type: ignore[arg-type]
    write(structlog.get_logger("mailwicket"))
    return stream.getvalue()


def raising(logger: Any) -> None:
    try:
        raise ValueError(f"password={CANARY}")
    except ValueError:
        logger.exception("failed")


SECRETS = {
    "auth plain": lambda logger: logger.debug("<< AUTH PLAIN %s", CANARY),
    "auth bytes": lambda logger: logger.debug("line", line=f"AUTH LOGIN {CANARY}\r\n".encode()),
    "field": lambda logger: logger.info("x", password=CANARY, smtp_password=CANARY, access_token=CANARY),
    "nested": lambda logger: logger.info("x", d={"authorization": CANARY, "l": [f"Authorization: Bearer {CANARY}"]}),
    "sentence": lambda logger: logger.info("login failed: password: %s", CANARY),
    "object": lambda logger: logger.info("x", o=ValueError(f"secret={CANARY}")),
    "exception": raising,
    "library": lambda _: logging.getLogger("lib").warning("AUTH XOAUTH2 %s", CANARY),
    "library exception": lambda _: raising(logging.getLogger("lib")),
}


@pytest.mark.parametrize("style", ["console", "json"])
@pytest.mark.parametrize("name", SECRETS)
def test_a_planted_secret_is_starred(style: str, name: str) -> None:
    text = written(style, SECRETS[name])
    assert CANARY not in text
    assert log.STARS in text


@pytest.mark.parametrize("signed", [
    make_address(KEYS, Token(role="c", ticket=7, party=12), "reply.acme.example"),
    make_address(KEYS, Token(role="c", ticket=7, party=12), "reply.acme.example").upper(),
    make_bounce(KEYS, 99, "reply.acme.example"),
    make_mark(KEYS, 99),
    make_message_id(KEYS, SignedId(kind="p", ticket=1, outbox=2, party=3), "desk.acme.example"),
])
def test_signatures_keep_four_characters(signed: str) -> None:
    """The address in the log compares with one in a mail, and opens nothing."""
    text = log.mask(f"rcpt <{signed}> refused")
    local = signed.partition("@")[0]
    assert local[:-16] + log.STARS in text
    assert local[-16:] not in text


def test_a_stranger_cannot_forge_a_line_or_drive_the_terminal() -> None:
    text = written("console", lambda logger: logger.info("x", subject="a\n2026 [info] forged\x1b[2J\u202e\x9b1m"))
    assert len(text.splitlines()) == 1
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\x9b" not in text


@given(value=st.text(max_size=40), key=st.text(max_size=10))
def test_any_text_gives_one_line_without_controls(value: str, key: str) -> None:
    event = log.mask_secrets(None, "info", {"event": value, "more": {key: [value]}})
    shown = json.dumps(event, ensure_ascii=False).encode()   # lone surrogates would fail here
    assert b"\n" not in shown
    assert all(ord(c) >= 0x20 for c in event["event"])


def test_json_lines_hold_what_was_said() -> None:
    (line,) = written("json", lambda logger: logger.info("mail", spool_id="s1", ms=1.5, reasons=["a"])).splitlines()
    row = json.loads(line)
    assert (row["event"], row["spool_id"], row["ms"], row["reasons"], row["level"]) == ("mail", "s1", 1.5, ["a"], "info")
    assert row["timestamp"].endswith("Z")


def test_the_protocol_trace_of_the_smtp_library_stays_out() -> None:
    """aiosmtpd logs every received line at debug, AUTH continuations in bare base64 included."""
    assert written("json", lambda _: logging.getLogger("mail.log").debug("b'%s'", CANARY)) == ""
