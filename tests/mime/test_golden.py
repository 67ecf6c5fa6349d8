"""Whole mails of our own, each with one trouble of real mail, and what must be read of them.

``mails/decoding/*.json`` is what was read when a person looked at it. Write it anew, after a change that was meant, with
``MAILWICKET_GOLDEN=write pytest tests/mime/test_golden.py`` and read the difference.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from gateway.core.relay import part_refs
from gateway.mime.assemble import body_of
from gateway.mime.parse import parse
from gateway.mime.unpack import unpacked

MAILS = sorted((Path(__file__).parents[1] / "mails" / "decoding").glob("*.eml"))


def row(raw: bytes) -> dict[str, Any]:
    got = parse(raw)
    return {
        "subject": got.subject,
        "from": [got.sender.name, got.sender.address] if got.sender else None,
        "date": got.date.isoformat() if got.date else None,
        "text": got.text,
        "text_from": got.text_from,
        "parts": [[part.name, part.content_type, part.size, part.encoding] for part in got.parts],
        "defects": list(got.defects),
    }


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_golden_mail_is_read_as_a_person_reads_it(path: Path) -> None:
    raw, expected = path.read_bytes(), path.with_suffix(".json")
    got = row(raw)
    if os.environ.get("MAILWICKET_GOLDEN") == "write":
        expected.write_text(json.dumps(got, ensure_ascii=False, indent=1) + "\n", "utf-8")
    assert got == json.loads(expected.read_text("utf-8"))


@pytest.mark.parametrize("path", MAILS, ids=lambda path: path.stem)
def test_every_part_is_made_again_from_its_range_and_steps(path: Path) -> None:
    """What is relayed is what was shown: the hash of the parser is the hash of what assemble takes from the stored mail."""
    raw = path.read_bytes()
    for part in parse(raw).parts:
        octets = unpacked(raw[part.start:part.end], part.encoding)
        assert (len(octets), hashlib.sha256(octets).hexdigest()) == (part.size, part.sha256)


@pytest.mark.parametrize("name", ["winmail", "uuencode-in-quoted-printable", "uuencode-part", "signed-opaquely-in-chunks"])
def test_a_file_from_inside_a_part_is_relayed_whole(name: str) -> None:
    """The relayed mail, read again, has the same files."""
    raw = (MAILS[0].parent / f"{name}.eml").read_bytes()
    refs = part_refs(parse(raw).parts, "1", "2026-03")
    body = body_of("text", "", list(refs), "b" * 20, lambda _spool_id, _month: raw)
    relayed = parse(b"From: a@example.com\r\n" + body)
    assert [(part.size, part.sha256) for part in relayed.parts] == [(part.size, part.sha256) for part in parse(raw).parts]
