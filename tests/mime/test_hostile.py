"""Every hostile mail is stored as a Mail, and what breaks a limit is not read."""

from __future__ import annotations

import base64
import unicodedata
from urllib.parse import quote

import pytest

from gateway.mime.parse import parse
from tests.mime.hostile import INPUTS


@pytest.mark.parametrize("name", INPUTS, ids=lambda name: name[:60])
def test_hostile_mail_is_a_mail(name: str) -> None:
    """Security inputs 2-14, 36, 37, 41-45. Any of them once took minutes or gigabytes of some parser."""
    build, is_opaque = INPUTS[name]
    raw = build()
    got = parse(raw)
    assert bool(got.opaque) == is_opaque, got.opaque
    assert got.size == len(raw)
    assert not got.defects or all(isinstance(each, str) for each in got.defects)


@pytest.mark.parametrize("bad", ["\r\n", "\n", "\r", "\0", "\x85", "\u2028", "\u2029", "\x1b[31m"])
def test_no_control_gets_through(bad: str) -> None:
    """Security input 23: in display names, file names, ids and subjects, raw and in encoded words."""
    word = "=?utf-8?b?" + base64.b64encode(f"a{bad}b".encode()).decode() + "?="
    raw = (f'From: {word} <ann@example.com>\r\nTo: "{word}" <help@example.net>\r\nSubject: {word}\r\nMessage-ID: <a{bad}b@x>\r\n'
           f'References: <a{bad}b@x> <{word}@x>\r\nContent-Type: application/pdf; name="{word}"\r\n'
           f"Content-Disposition: attachment; filename*=utf-8''a{quote(bad)}b.pdf\r\n\r\nx").encode()
    got = parse(raw)
    shown = [got.subject, got.message_id or "", *got.references, *(part.name for part in got.parts)]
    shown += [each.name for each in (got.sender, *got.to) if each] + [value for _, value in got.headers]
    assert not [text for text in shown if any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in text)]


@pytest.mark.parametrize("page", [
    b"<script>alert(1)</script>", b'<p onclick="x()">', b'<a href="javascript:x()">l</a>', b'<a href="jAvA\tscript:x()">l</a>',
    b"<svg><style><img src=x onerror=x()></style></svg>", b"<math><mtext><table><mglyph><style><!--</style><img onerror=x()>--></style></mtext></math></table></p>",
    b'<base href="http://x.test/">', b'<p style="background:url(http://x.test/)">', b'<img src="file:///etc/passwd">',
    b'<img src="http://x.test/1.png">', b'<img src="data:image/png;base64,xx">', b'<iframe src="http://x.test"></iframe>',
    b'<form action="http://x.test"><input name=a></form>', b'<link rel=stylesheet href="http://x.test/">',
    b'<meta http-equiv=refresh content="0;url=http://x.test">', b'<a href="cid:x">l</a><IMG SRC=" http://x.test/2">',
])
def test_html_loses_what_acts_or_fetches(page: bytes) -> None:
    """Security input 36."""
    got = parse(b"From: a@example.com\r\nContent-Type: text/html\r\n\r\n" + page + b"<p>end</p>")
    for bad in ("script", "onerror", "onclick", "x.test", "file:", "data:", "style", "<form", "<input", "<svg", "<math"):
        assert bad not in got.html.lower()
    assert "end" in got.text or b"<math>" in page     # what stands in formulas goes with them
