"""Old mail on disk: mbox files, Maildirs, folders of single mails. Yields raw bytes, oldest name first.

mbox is read as "mboxrd or near it" (RFC 4155 leaves quoting open): a message begins at a line
``From `` that follows an empty line and ends in a year, which body text hardly ever does; one ``>`` before
``>*From `` is taken off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.errors import StateError

_BEGIN = re.compile(rb"(?:\A|(?<=\n\n)|(?<=\r\n\r\n))From [^\r\n]{0,400}\b(?:19|20)\d\d[^\r\n]{0,40}\r?\n")
_QUOTED = re.compile(rb"^>(>*From )", re.MULTILINE)


def messages(paths: Iterable[Path]) -> Iterator[bytes]:
    """Every mail below ``paths``. Raises StateError for a path that does not exist."""
    for path in paths:
        if not path.exists():
            raise StateError(f"{path} does not exist: name an mbox file, a Maildir, a folder of mails or a mail")
        for file in _files(path):
            yield from _split(file.read_bytes())


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob("*")):
        # In a Maildir only new/ and cur/ hold whole mails; jsonl and json files lie beside archives.
        if file.is_file() and file.parent.name != "tmp" and file.suffix not in (".json", ".jsonl") and file.name[0] != ".":
            yield file


def _split(data: bytes) -> Iterator[bytes]:
    # Not by "From " alone: RFC 822 allowed blanks before the colon, and old mails begin with "From : Ann".
    if not _BEGIN.match(data):
        yield data
        return
    begins = list(_BEGIN.finditer(data))
    for begin, after in zip(begins, [*begins[1:], None], strict=True):
        yield _QUOTED.sub(rb"\1", data[begin.end() : after.start() if after else len(data)])
