"""Every hostile mail is stored as a Mail, and what breaks a limit is not read."""

from __future__ import annotations

import pytest

from gateway.mime.parse import parse
from tests.mime.hostile import INPUTS


@pytest.mark.parametrize("name", INPUTS, ids=lambda name: name[:60])
def test_hostile_mail_is_a_mail(name: str) -> None:
    """Security inputs 2-14, 36, 37. Any of them once took minutes or gigabytes of some parser."""
    build, is_opaque = INPUTS[name]
    raw = build()
    got = parse(raw)
    assert bool(got.opaque) == is_opaque, got.opaque
    assert got.size == len(raw)
    assert not got.defects or all(isinstance(each, str) for each in got.defects)


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
