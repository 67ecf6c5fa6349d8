"""From bytes to readable text: encoded words of headers, HTML.

Standards: RFC 2047 (encoded words), RFC 2231 §5 (language tag in them). Nothing here raises on
any input and everything is linear, or capped where a library is not. HTML that is larger or more
deeply nested than the caps becomes '': nh3's parser is quadratic in open elements, and the plain
text of such a mail still stands.
"""

from __future__ import annotations

import binascii
import re
import unicodedata
from typing import TYPE_CHECKING

import nh3

from gateway.mime.charsets import decode

if TYPE_CHECKING:
    from collections.abc import Callable

SURROGATES = re.compile("[\ud800-\udfff]")

# --- Headers --------------------------------------------------------------------------------

# RFC 2047 §2, but blanks and '?' inside the text are seen in the wild, '?' even before an octet as in "Why?=20me?=",
# and words that were cut off. The bounds keep a header of nothing but openings linear.
_WORD = re.compile(
    r"=\?([^?\s]{1,64})\?(?:([bB])|[qQ])\?(.{0,2000}?)"
    r"(?:\?=(?(2)|(?![0-9A-F]{2}[^?=]{0,60}(?:=[0-9A-F]{2}[^?=]{0,60}){0,20}\?=))|\Z)", re.DOTALL)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_LINE_END = re.compile(r"[\r\n]+")


def decode_header(raw: bytes | str, hint: str = "") -> str:
    """Readable form of a header value: RFC 2047 words and raw 8-bit text, no control characters.

    The bytes of adjacent words in one charset are joined before they are decoded, since
    senders split in the middle of a character (against RFC 2047 §5). ``hint`` is the charset of the
    body, in which raw 8-bit text mostly is.
    """
    data = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
    if b"=?" not in data:
        is_plain = data.isascii() and b"\x1b" not in data      # nearly all are
        return plain_line(str(data, "ascii") if is_plain else decode(data, None, hint)[0])
    source = _LINE_END.sub("", data.decode("latin-1"))
    out: list[str] = []
    held, held_charset, at = bytearray(), "", 0
    for word in _WORD.finditer(source):
        gap = source[at:word.start()]
        charset = word[1].split("*", 1)[0].lower()
        if held_charset and (charset != held_charset or gap.strip()):
            out.append(decode(bytes(held), held_charset, hint)[0])
            held.clear()
        if gap.strip() or (gap and not held_charset):  # RFC 2047 §6.2: blanks between words vanish
            out.append(decode(gap.encode("latin-1"), None, hint)[0])
        held += _word_bytes(is_base64=word[2] is not None, text=word[3])
        held_charset, at = charset, word.end()
    if held_charset:
        out.append(decode(bytes(held), held_charset, hint)[0])
    out.append(decode(source[at:].encode("latin-1"), None, hint)[0])
    return plain_line("".join(out))


def _word_bytes(*, is_base64: bool, text: str) -> bytes:
    data = text.encode("latin-1")
    return base64_bytes(data) if is_base64 else binascii.a2b_qp(data, header=True)


def plain_line(text: str) -> str:
    """``text`` as one line: controls, line separators and lone surrogates become one blank each run."""
    if text.isascii():
        return text.strip() if text.isprintable() else _CONTROL.sub(" ", text).strip()
    return unicodedata.normalize("NFC", _CONTROL.sub(" ", text)).strip()


_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")
_PADDING = re.compile(rb"=+")
_BASE64_ONLY = re.compile(rb"[A-Za-z0-9+/=\r\n]*")


def base64_bytes(data: bytes) -> bytes:
    """RFC 2045 §6.8, lenient: foreign characters are skipped, a cut quantum is dropped.

    Padding ends the data, as a mailing list's footer stands behind it; but base64 in pieces that are padded each
    is read to its end.
    """
    padded = data.find(b"=")
    if 0 <= padded < len(data.rstrip(b"=\r\n\t ")) and _BASE64_ONLY.fullmatch(data):
        return b"".join(map(_quanta, _PADDING.split(data)))
    return _quanta(data)


def _quanta(data: bytes) -> bytes:
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        kept = _NOT_BASE64.sub(b"", data)
        kept = kept[: len(kept) - 1] if len(kept) % 4 == 1 else kept
        return binascii.a2b_base64(kept + b"=" * (-len(kept) % 4))


# --- HTML -----------------------------------------------------------------------------------

MAX_HTML = 512 * 1024
MAX_OPEN = 1_000        # elements open at once
MAX_TAGS = 40_000
MAX_REPEATED = 500_000  # open text styles times tags: each block repeats the styles left open above it

_SHOWN = {  # security: presentation only; no attribute but a link and the picture of an attached part
    "p", "br", "b", "i", "strong", "em", "ul", "ol", "li", "a", "blockquote", "pre", "code", "img", "div",
    "hr", "table", "thead", "tbody", "tr", "td", "th", "h1", "h2", "h3", "h4", "h5", "h6",
}
_SHOWN_ATTRIBUTES: dict[str, set[str]] = {"*": set(), "a": {"href"}, "img": {"src"}}   # "*": nh3 would add title and lang
_DROPPED_WITH_TEXT = {
    "script", "style", "title", "head", "noscript", "template", "svg", "math", "textarea", "select",
}
_BLOCK = {
    "p", "div", "tr", "li", "ul", "ol", "dl", "dt", "dd", "table", "h1", "h2", "h3", "h4", "h5", "h6", "pre",
    "blockquote", "address", "article", "section", "header", "footer", "form", "center", "fieldset",
    "hr", "br", "td", "th",
}
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
# These end by themselves where the next one begins (HTML §13.1.2.4), so they do not nest.
_SELF_ENDING = frozenset({"p", "li", "td", "tr", "th", "dt", "dd", "option", "tbody", "thead"})
_STYLES = frozenset({
    "a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u",
})
_VOID = frozenset({
    "br", "img", "hr", "meta", "link", "input", "col", "area", "base", "wbr", "embed", "source", "param",
})
APART = frozenset({"p", "h1", "h2", "h3", "ul", "ol", "table", "blockquote"})  # a blank line behind them


def _is_bounded(html: str) -> bool:
    """Whether nh3 can read ``html`` in time: its cost is tags times open elements."""
    if len(html) > MAX_HTML or html.count("<!--") > 2_000:
        return False
    if html.count("<") < 400:
        return True
    open_now: dict[str, int] = {}
    tags = _TAG.findall(html)
    depth = deepest = styles = most_styles = 0
    for closing, written in tags:
        name = written.lower()
        count = open_now.get(name, 0)
        if name in _VOID or name in _SELF_ENDING or (closing and not count):
            continue
        step = -1 if closing else 1
        open_now[name] = count + step
        depth += step
        deepest = max(deepest, depth)
        if name in _STYLES:
            styles += step
            most_styles = max(most_styles, styles)
    return deepest <= MAX_OPEN and len(tags) <= MAX_TAGS and most_styles * len(tags) <= MAX_REPEATED


def _only_attached(tag: str, attribute: str, value: str) -> str | None:
    # A picture is shown only if it came with the mail: fetching one tells its sender that it was read.
    return value if tag != "img" or attribute != "src" or value[:4].lower() == "cid:" else None


def clean_html(html: str) -> str:
    """``html`` without script, style, form, remote picture; '' if it is too large or too deep."""
    if not html or not _is_bounded(html):
        return ""
    has_image = "<img" in html or "<IMG" in html
    return _SHOWING[has_image].clean(html).strip()


# Made once: nh3.clean would read these tables again for every mail. Without a picture nothing asks Python back.
_SHOWING = {
    has_image: nh3.Cleaner(
        tags=_SHOWN,
        clean_content_tags=_DROPPED_WITH_TEXT,
        attributes=_SHOWN_ATTRIBUTES,
        attribute_filter=_only_attached if has_image else None,
        url_schemes={"http", "https", "mailto", "cid"},
        link_rel=None,
        strip_comments=True,
    )
    for has_image in (False, True)
}


def block_cleaner(
    attributes: dict[str, set[str]] | None = None,
    attribute_filter: Callable[[str, str, str], str | None] | None = None,
) -> nh3.Cleaner:
    """For neat_html: it leaves those of ``attributes`` for which ``attribute_filter`` gives a value."""
    return nh3.Cleaner(
        tags=_BLOCK | {"span"} if attributes else _BLOCK, clean_content_tags=_DROPPED_WITH_TEXT,
        attributes=attributes or {}, attribute_filter=attribute_filter, link_rel=None,
    )


_BLOCKS = block_cleaner()


def neat_html(html: str, cleaner: nh3.Cleaner = _BLOCKS) -> str:
    """The block elements of ``html`` and their text, well formed; '' beyond the caps."""
    return cleaner.clean(html) if html and _is_bounded(html) else ""
