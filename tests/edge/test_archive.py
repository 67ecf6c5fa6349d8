"""Old mail on disk: what is an mbox and what only looks like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.edge.archive import messages
from gateway.errors import StateError

FIRST, SECOND = b"From: a@x.example\nSubject: 1\n\nOne.\n\n", b"From: b@x.example\nSubject: 2\n\n>From here on\n"
LINE = b"From a@x.example Mon Nov 23 10:00:00 2026\n"
OLD = b"From : Ann <a@x.example>\nSubject: blanks before the colon\n\nText.\n\n" + LINE + b"is quoted above.\n"


@pytest.mark.parametrize(("data", "mails"), [
    (LINE + FIRST + LINE + SECOND, [FIRST, SECOND.replace(b">From", b"From")]),
    (FIRST, [FIRST]),
    (OLD, [OLD]),
    (b"From : a@x.example\n\nText.\n", [b"From : a@x.example\n\nText.\n"]),
    (b"", [b""]),
], ids=["mbox", "mail", "old mail with a From line in its text", "old mail", "nothing"])
def test_a_file_is_an_mbox_only_if_it_begins_with_a_whole_from_line(tmp_path: Path, data: bytes, mails: list[bytes]) -> None:
    (tmp_path / "file").write_bytes(data)
    assert list(messages([tmp_path / "file"])) == mails


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nowhere does not exist"):
        list(messages([tmp_path / "nowhere"]))
