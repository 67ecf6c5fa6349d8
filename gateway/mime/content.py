"""What a mail says and what it carries: the text of its body leaves, their HTML, and the parts beside it.

Standards: RFC 2046 §5.1, RFC 3676 (flowed text), WHATWG HTML §13.2.3.2 (the charset that a page names
itself). Text is taken from mail-parser's reading where library.py trusts it, else decoded here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from gateway.core.model import Part
from gateway.errors import Opaque
from gateway.mime.attachments import decoded, is_false_base64, part_of
from gateway.mime.body import ENRICHED, TEXTS, Body, body_of, is_body_leaf
from gateway.mime.charsets import decode
from gateway.mime.flowed import unflowed
from gateway.mime.html_reply import html_to_text
from gateway.mime.inside import signed_in, tnef_of, tnef_parts, tnef_text, uuencoded_in, uuencoded_parts
from gateway.mime.structure import LIMITS, Limits, Node, scan
from gateway.mime.text import MAX_HTML, plain_line

TextFrom = Literal["plain", "html", "none"]

_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\ud800-\udfff]")
_NAMED_IN_PAGE = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([a-zA-Z0-9_.:-]{2,40})", re.IGNORECASE)
# "Your program cannot show HTML": a text that is only about the other one.
_STUB = re.compile(r"\bHTML\b", re.IGNORECASE)
_POINTS = re.compile(
    r"support|display|view|enabl|capable|compatible|client|reader|unterstütz|anzeig|angezeigt|darstell|affich|lire|visuali|"
    r"mostrar|compatib|weergeven|visa|vis(?:e|es)|wyświetl|zobraz|näytt|просмотр|отобра|表示|查看|显示", re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?。]\s")
_WRITTEN = re.compile(r"^[ \t]*[#>]", re.MULTILINE)     # a command or a quotation: a person wrote it
_ENRICHED_TAG = re.compile(r"<<|<param>[^<]{0,200}</param>|</?[a-zA-Z0-9-]{1,60}>")      # RFC 1896
_LINK = re.compile(r"\b(?:https?|mailto):\S+", re.IGNORECASE)
_STUB_LENGTH = 400          # without its links


@dataclass(frozen=True, slots=True)
class Source:
    """Where the ranges of the leaves point: ``raw`` to read; ``original`` as it came, if its line ends were CR.

    ``within`` says by which steps ``raw`` was made of the mail as it came (unpack.py).
    """

    raw: bytes
    original: bytes
    leaves: Sequence[Node]
    body: Body
    within: tuple[str, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Content:
    text: str
    source: TextFrom
    html: str
    parts: tuple[Part, ...]


@dataclass(slots=True)
class _Found:
    """Parts so far, and the body that was found inside of one."""

    parts: list[Part] = field(default_factory=list)
    text: str = ""
    html: str = ""


def charset_of(leaves: Sequence[Node]) -> str:
    """The charset that the texts of a mail name first, ''."""
    return next((leaf.params["charset"] for leaf in leaves if "charset" in leaf.params), "")


def content_of(at: Source, texts: Sequence[str] | None, limits: Limits, defects: list[str]) -> Content:
    """``texts`` are mail-parser's of the plain body leaves, None if it was not asked or is not to be trusted."""
    found = _Found()
    if any(is_false_base64(at.raw, leaf) for leaf in at.body.shown):
        texts = None                            # mail-parser would decode it, and take the words together
    encoded = {leaf.body_start: each for leaf in at.body.shown
               if leaf.content_type != "text/html" and (each := uuencoded_in(at.raw, leaf)) is not None}
    told = {leaf.body_start for leaf in at.body.shown if leaf.content_type not in TEXTS}    # text of a rare type
    for leaf in at.leaves:
        if not is_body_leaf(leaf) and leaf.body_start not in told:
            _open(at, leaf, found, limits, defects)
        elif leaf.body_start in encoded and at.within is None:
            found.parts += uuencoded_parts(leaf, encoded[leaf.body_start], len(found.parts))
    bare = {start: each.text for start, each in encoded.items()}
    text, source = _text(at, texts, bare, limits, defects)
    html = "\n".join(_decoded(at.raw, leaf) for leaf in at.body.html)
    if source == "plain" and html and (page := _instead(text, html)):
        text, source = page, "html"
    if not text.strip() and (found.text or found.html):
        text, source = _lines(found.text or html_to_text(found.html))[: limits.text], "plain" if found.text else "html"
    return Content(text, source, html or found.html, tuple(found.parts))


def _open(at: Source, leaf: Node, found: _Found, limits: Limits, defects: list[str]) -> None:
    """Take a leaf that is no body as a part, or what it has inside."""
    if at.within is not None:
        found.parts.append(part_of(at.original, leaf, len(found.parts), at.within))
        return
    if (tnef := tnef_of(at.raw, leaf)) is not None:
        text, page = tnef_text(tnef)
        found.parts += tnef_parts(at.original, leaf, tnef, len(found.parts))
        found.text, found.html = found.text or text, found.html or decode(page[: 4 * MAX_HTML], _named_in(page) or tnef.charset)[0]
        if not tnef.whole:
            found.parts.append(part_of(at.original, leaf, len(found.parts)))
        return
    found.parts.append(part_of(at.original, leaf, len(found.parts)))
    if (signed := signed_in(at.raw, leaf)) is not None:
        inner, within = signed
        try:
            root = scan(inner, limits)
        except Opaque as why:
            defects.append(f"signed mail not read: {why}")
            return
        leaves = root.leaves()
        content = content_of(Source(inner, inner, leaves, body_of(inner, root, leaves), within), None, limits, defects)
        begin = len(found.parts)
        found.parts += [replace(part, ordinal=begin + number) for number, part in enumerate(content.parts)]
        found.text = found.text or (content.text if content.source == "plain" else "")
        found.html = found.html or content.html


# --- Text -----------------------------------------------------------------------------------


def _text(at: Source, texts: Sequence[str] | None, bare: dict[int, bytes], limits: Limits,
          defects: list[str]) -> tuple[str, TextFrom]:
    """The text of the body leaves in order, and what it was made of."""
    read = iter(texts or ())
    out: list[str] = []
    room = MAX_HTML
    source: TextFrom = "none"
    for leaf in at.body.shown:
        if leaf.content_type == "text/html":
            html = _decoded(at.raw, leaf)
            room -= len(html)                   # the cap is on all of them: there may be a thousand
            text = _lines(html_to_text(html)) if room >= 0 else ""
            if html.strip() and not text:
                defects.append("HTML without text, or too large or too deep to read")
            source = "html" if source == "none" else source
        else:
            other = next(read, None) if leaf.content_type == "text/plain" else None
            if leaf.body_start in bare:
                text = _lines(decode(bare[leaf.body_start][: 4 * limits.text], leaf.params.get("charset"))[0])
            else:
                text = _lines(_decoded(at.raw, leaf, defects))
                if other is not None and _lines(other.removeprefix("\ufeff")) != text:
                    defects.append("parsers disagree: text")
            if leaf.content_type in ENRICHED:
                text = _ENRICHED_TAG.sub(lambda tag: "<" if tag[0] == "<<" else "", text)
            if leaf.params.get("format", "").lower() == "flowed":
                text = unflowed(text, delsp=leaf.params.get("delsp", "").lower() == "yes")
            source = "plain"
        out.append(text[: limits.text + 1])
    whole = "\n".join(out)
    if len(whole) > limits.text:
        defects.append(f"text cut to {limits.text} characters")
        whole = whole[: limits.text]
    return whole, source


def _instead(text: str, html: str) -> str:
    """The text of the HTML where the plain one only speaks of HTML and links, else ''."""
    if len(text) > 4_000 or "html" not in text.lower() or not _STUB.search(text) or _WRITTEN.search(text):
        return ""
    said = len(_LINK.sub("", text).strip())
    if said > _STUB_LENGTH:
        return ""
    page = _lines(html_to_text(html))
    first = _SENTENCE.split(text.strip(), maxsplit=1)[0]
    points = _STUB.search(first) is not None and _POINTS.search(text) is not None
    return page if points or len(_LINK.sub("", page)) > 2 * said else ""


def _decoded(raw: bytes, leaf: Node, defects: list[str] | None = None) -> str:
    # Nothing is shown of what lies beyond; four octets hold any character.
    data = decoded(raw, leaf)[: 4 * LIMITS.text]
    charset = leaf.params.get("charset")
    if not charset and leaf.content_type == "text/html":
        charset = _named_in(data)
    text, declared = decode(data, charset)
    if not declared and defects is not None and "charset" in leaf.params:
        defects.append(f"text is not in the charset it names: {plain_line(leaf.params['charset'])[:60]}")
    return text


def _named_in(page: bytes) -> str:
    found = _NAMED_IN_PAGE.search(page, 0, 2_048)
    return found[1].decode("ascii") if found else ""


def _lines(text: str) -> str:
    """LF line ends, and no control character but tab, line feed and form feed."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", text)
