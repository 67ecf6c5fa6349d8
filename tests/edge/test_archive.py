"""Archives on disk: where each mail begins and ends, and what the archive did to it is taken back."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.edge import archive
from gateway.edge.archive import Archives, Place, Unreadable, is_sent_name
from gateway.errors import StateError

FIRST, SECOND = b"From: a@x.example\nSubject: 1\n\nOne.\n", b"From: b@x.example\nSubject: 2\n\n>From here on\n"
LINE = b"From a@x.example Mon Nov 23 10:00:00 2026\n"
OLD = b"From : Ann <a@x.example>\nSubject: blanks before the colon\n\nText.\n\n" + LINE + b"is quoted above.\n"
BARE = b"Hi,\n\nFrom now on in 2026 it works\n"
CL2 = b"From: c@x.example\nContent-Length: %d\n\n" % len(BARE) + BARE


def read(path: Path, scratch: Path) -> list[bytes]:
    archives = Archives(scratch)
    return [archives.read(found) for found in archives.scan([path]) if isinstance(found, Place)]


@pytest.mark.parametrize(("data", "mails"), [
    (LINE + FIRST + b"\n" + LINE + SECOND + b"\n", [FIRST, SECOND.replace(b">From", b"From")]),
    (LINE + FIRST + b"\n" + LINE + SECOND, [FIRST, SECOND.replace(b">From", b"From")]),
    ((LINE + FIRST + b"\n" + LINE + FIRST).replace(b"\n", b"\r\n"), [FIRST.replace(b"\n", b"\r\n")] * 2),
    (LINE + b"From: a@x.example\n\n>>From two\n>From one\n> From none\n", [b"From: a@x.example\n\n>From two\nFrom one\n> From none\n"]),
    (LINE + FIRST + LINE + b"is no line that begins a mail: no empty line before it\n",
     [FIRST + LINE + b"is no line that begins a mail: no empty line before it\n"]),
    (LINE + FIRST + b"\nFrom here on all was well.\n", [FIRST + b"\nFrom here on all was well.\n"]),
    (LINE + CL2 + b"\n" + LINE + FIRST, [CL2, FIRST]),
    (LINE + CL2, [CL2]),
    (LINE + CL2.replace(b"Length: ", b"Length: 1") + b"\n" + LINE + FIRST,
     [CL2.replace(b"Length: ", b"Length: 1").partition(b"\nFrom now")[0], FIRST]),
    (FIRST, [FIRST]),
    (OLD, [OLD]),
    (b"From : a@x.example\n\nText.\n", [b"From : a@x.example\n\nText.\n"]),
    (gzip.compress(LINE + FIRST + b"\n" + LINE + FIRST), [FIRST, FIRST]),
    (gzip.compress(FIRST), [FIRST]),
], ids=[
    "mbox", "no empty line at the end", "mbox with CRLF", "mboxrd", "a From line in the text", "no year",
    "mboxcl2", "mboxcl2, last", "a wrong Content-Length", "mail", "old mail with a From line in its text", "old mail",
    "mbox, packed", "mail, packed",
])
def test_each_mail_of_a_file_is_read_as_it_was(tmp_path: Path, data: bytes, mails: list[bytes]) -> None:
    (tmp_path / "file").write_bytes(data)
    if b"Length: 1" in data:    # it leads nowhere, so the line with a year in the text begins a mail
        mails = [mails[0], mails[1]]
        assert read(tmp_path / "file", tmp_path)[0] == mails[0]
        assert read(tmp_path / "file", tmp_path)[-1] == mails[1]
        return
    assert read(tmp_path / "file", tmp_path) == mails


bodies = st.lists(
    st.sampled_from([b"From ann 2026\n", b">From ann 2026\n", b"\n", b"text\n", b"Froma 2026\n", b">>From x 2020\n"]), max_size=8
)


@settings(deadline=None, max_examples=60)
@given(found=st.lists(bodies, min_size=1, max_size=6), chunk=st.integers(5, 90))
def test_an_mbox_is_read_as_it_was_written_however_it_is_cut(found: list[list[bytes]], chunk: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """mboxrd: what is written with quoting comes back, also when a chunk ends in the middle of a line."""

    folder = tmp_path_factory.mktemp("box")
    mails = [b"From: a@x.example\n\n" + b"".join(lines) + b"end\n" for lines in found]
    quoted = [re.sub(rb"(?m)^(>*From )", rb">\1", m) for m in mails]
    (folder / "box").write_bytes(b"".join(LINE + m + b"\n" for m in quoted))
    before = archive.CHUNK
    try:
        archive.CHUNK = chunk
        assert read(folder / "box", folder) == mails
    finally:
        archive.CHUNK = before


def test_times_of_the_archive_are_kept_for_mails_without_a_date(tmp_path: Path) -> None:
    (tmp_path / "box").write_bytes(LINE + FIRST + b"\nFrom a@x.example Mon Xyz 99 10:00:00 2026\n" + FIRST)
    folder = tmp_path / "md"
    for name in ("cur", "new", "tmp"):
        (folder / name).mkdir(parents=True)
    (folder / "cur" / "1164272400.M1P2.host:2,S").write_bytes(FIRST)
    (folder / "new" / "strange").write_bytes(FIRST)
    archives = Archives(tmp_path)
    given = [p.given for p in archives.scan([tmp_path / "box", folder]) if isinstance(p, Place)]
    assert given == [1795428000.0, 0, 1164272400.0, 0]


def test_in_a_maildir_only_mails_are_read_and_its_folders_too(tmp_path: Path) -> None:
    for folder in ("", ".Sent", ".Work.2020"):
        for name in ("cur", "new", "tmp"):
            (tmp_path / "md" / folder / name).mkdir(parents=True)
        (tmp_path / "md" / folder / "cur" / "1:2,S").write_bytes(FIRST)
        (tmp_path / "md" / folder / "tmp" / "2").write_bytes(FIRST)
    (tmp_path / "md" / "dovecot-uidlist").write_bytes(b"3 V1 N2\n")
    (tmp_path / "md" / "subscriptions").write_bytes(b"Sent\n")
    archives = Archives(tmp_path)
    found = [p for p in archives.scan([tmp_path / "md"]) if isinstance(p, Place)]
    assert sorted((Path(archives.sources[p.source].name).parts[-3], archives.sources[p.source].sent) for p in found) == [
        (".Sent", True), (".Work.2020", False), ("md", False),
    ]


@pytest.mark.parametrize(("name", "sent"), [
    ("Sent", True), ("sent.mbox", True), ("INBOX.Sent Items", True), ("[Gmail]/Sent Mail", True), ("Gesendet", True),
    ("INBOX", False), ("Absent", False), ("sentry.mbox", False), ("consent", False),
])
def test_a_folder_of_sent_mail_is_known_by_its_name(name: str, sent: bool) -> None:
    assert is_sent_name(name) == sent


def test_pipermails_addresses_become_addresses(tmp_path: Path) -> None:
    line = b"From ann at x.example  Sun Feb  1 00:15:25 2009\n"
    (tmp_path / "2009.txt").write_bytes(
        line + b"From: ann at x.example (Ann Berg (Acme))\nSubject: me at home\n\nann at x.example\n\n"
        + line + b"From: ann at x.example (=?utf-8?q?J=C3=B6rg?=\n =?utf-8?q?_X?=)\nDate: x\n\nB\n\n" + line + b"From: ann at x.example\n\nC\n\n"
        + line + b"From: nobody\n\nD\n"
    )
    found = read(tmp_path / "2009.txt", tmp_path)
    assert [m.partition(b"\n")[0] for m in found] == [
        b"From: Ann Berg Acme <ann@x.example>", b"From: =?utf-8?q?J=C3=B6rg?= =?utf-8?q?_X?= <ann@x.example>",
        b"From: <ann@x.example>", b"From: nobody",
    ]
    assert found[0].endswith(b"Subject: me at home\n\nann at x.example\n")


def test_what_cannot_be_read_is_named_and_the_rest_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LARGEST", 100)
    folder = tmp_path / "mails"
    folder.mkdir()
    (folder / "1.gz").write_bytes(gzip.compress(LINE + FIRST)[:-9])
    (folder / "2.eml").write_bytes(FIRST)
    (folder / "3.mbox").write_bytes(LINE + FIRST + b"x" * 200 + b"\n\n" + LINE + FIRST)
    (folder / "4.eml").symlink_to(folder / "nowhere")
    (folder / ".5.eml").write_bytes(FIRST)
    (folder / "6.json").write_bytes(b"{}")
    archives = Archives(tmp_path)
    found = list(archives.scan([folder]))
    assert [archives.read(p) for p in found if isinstance(p, Place)] == [FIRST, FIRST]
    why = [(Path(u.name).name, u.why) for u in found if isinstance(u, Unreadable)]
    assert [name for name, _ in why] == ["1.gz", "3.mbox at 42"]
    assert "cannot be unpacked" in why[0][1]
    assert "larger than" in why[1][1]
    archives.close()
    archives.close()


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "box").write_bytes(FIRST)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)   # the tests may run as root, who may read everything
    (found,) = Archives(tmp_path).scan([tmp_path / "box"])
    assert isinstance(found, Unreadable)
    assert found.why == "cannot be read: Permission denied"


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="nowhere does not exist"):
        list(Archives(tmp_path).scan([tmp_path / "nowhere"]))
