"""Real mail of other projects, read in place where it is present; never copied."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.mime.parse import parse

CORPUS = Path(os.environ.get("MAILWICKET_CORPUS", Path(__file__).parents[3] / "shared" / "corpus"))
_REFUSED = 2    # mails with a header field of more than 32 kB in the two suites


@pytest.mark.skipif(not CORPUS.is_dir(), reason=f"no mail corpus at {CORPUS}; set MAILWICKET_CORPUS")
def test_every_real_mail_is_read() -> None:
    """No exception, no fault of ours, and hardly any mail that is too much to be read."""
    mails = {path.name: parse(path.read_bytes()) for suite in ("decoding", "hostile", "bounces", "autoreplies")
             for path in sorted((CORPUS / suite).glob("*.eml"))}
    opaque = {name: mail.opaque for name, mail in mails.items() if mail.opaque}
    assert len(mails) > 500
    assert not [name for name, why in opaque.items() if why and why.startswith("unreadable")]
    assert len(opaque) <= _REFUSED, opaque
