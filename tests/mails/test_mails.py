"""Our own mails, one file each, and what is new in them. README.md says which convention each follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.core.forward import read_forward
from gateway.core.quote import split_reply
from gateway.mime.html_reply import html_to_text
from gateway.mime.parse import parse

HERE = Path(__file__).parent
ROWS: list[dict[str, Any]] = [json.loads(line) for line in (HERE / "expected.jsonl").read_text("utf-8").splitlines()]
FORWARDS = [row for row in ROWS if "forward" in row]


def text_of(file: str) -> str:
    raw = (HERE / file).read_bytes()
    if file.endswith(".eml"):
        return parse(raw).text
    return html_to_text(raw.decode()) if file.endswith(".html") else raw.decode()


def squashed(text: str) -> str:
    """HTML sets blank lines where it likes."""
    return " ".join(text.split())


@pytest.mark.parametrize("row", [row for row in ROWS if "reply" in row], ids=lambda row: row["file"])
def test_the_reply_is_found(row: dict[str, Any]) -> None:
    new = split_reply(text_of(row["file"])).new
    assert (squashed(new) if row["file"].endswith(".html") else new) == (
        squashed(row["reply"]) if row["file"].endswith(".html") else row["reply"]
    ), row["why"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["file"])
def test_nothing_is_lost(row: dict[str, Any]) -> None:
    text = text_of(row["file"])
    split = split_reply(text)
    parts = f"{split.new}\n{split.quoted}\n{split.signature}"
    assert sorted(line.rstrip() for line in parts.split("\n") if line) == sorted(
        line.rstrip() for line in text.split("\n") if line.strip()
    )


@pytest.mark.parametrize("row", FORWARDS, ids=lambda row: row["file"])
def test_the_forwarded_mail_is_read(row: dict[str, Any]) -> None:
    raw, want = (HERE / row["file"]).read_bytes(), row["forward"]
    found = parse(raw).enclosed if row["file"].endswith(".eml") else read_forward(raw.decode())
    assert found is not None
    assert {
        "sender": found.sender.address, "name": found.sender.name, "subject": found.subject, "body": found.body,
        "above": found.above, "when": found.when, **({"date": found.date.isoformat()} if found.date else {}),
        **({"cc": [a.address for a in found.cc]} if found.cc else {}),
        **({"message_id": found.message_id} if found.message_id else {}),
    } == want


@pytest.mark.parametrize("row", [row for row in ROWS if "forward" not in row], ids=lambda row: row["file"])
def test_an_answer_without_a_header_block_is_no_forward(row: dict[str, Any]) -> None:
    text = text_of(row["file"])
    known = any(word in text for word in ("Von:", "De :", "发件人", "Mittens:"))
    assert known or read_forward(text) is None


def test_every_mail_is_expected_and_every_expectation_has_its_mail() -> None:
    files = {path.name for path in HERE.iterdir() if path.suffix in (".txt", ".html", ".eml")}
    assert files == {row["file"] for row in ROWS}
