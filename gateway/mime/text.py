"""From bytes to readable text: charsets, encoded words of headers, HTML.

Standards: RFC 2047 (encoded words), RFC 2231 §5 (language tag in them), WHATWG Encoding (what the
labels mean in practice: "iso-8859-1" is windows-1252, "gb2312" is GB 18030). Nothing here raises on
any input and everything is linear, or capped where a library is not. Codecs come from an allow-list,
because Python also offers zlib, punycode and unicode_escape under charset names; UTF-7 is left
out on purpose. HTML that is larger or more deeply nested than the caps becomes '': nh3's
parser is quadratic in open elements, and the plain text of such a mail still stands.
"""

from __future__ import annotations

import binascii
import re
import unicodedata
from typing import TYPE_CHECKING

import nh3

if TYPE_CHECKING:
    from collections.abc import Callable

# --- Charsets -------------------------------------------------------------------------------

_CODECS: dict[str, str] = {
    label: codec
    for codec, labels in {
        "utf-8": "utf-8 utf8 unicode-1-1-utf-8 utf-8-mac x-unicode20utf8 utf8mb4",
        "cp1252": "iso-8859-1 iso8859-1 iso88591 iso-8859-1-windows latin1 latin-1 l1 cp819 ibm819 windows-1252 "
                  "cp1252 cp-1252 x-cp1252 ansi iso_8859-1 8859-1 win-1252 8bit western",
        "iso8859-2": "iso-8859-2 iso8859-2 iso_8859-2 latin2 l2 8859-2",
        "iso8859-3": "iso-8859-3 iso8859-3 latin3",
        "iso8859-4": "iso-8859-4 iso8859-4 latin4",
        "iso8859-5": "iso-8859-5 iso8859-5 cyrillic",
        "iso8859-6": "iso-8859-6 iso8859-6 arabic asmo-708 iso-8859-6-i iso-8859-6-e",
        "iso8859-7": "iso-8859-7 iso8859-7 greek",
        "iso8859-8": "iso-8859-8 iso8859-8 hebrew iso-8859-8-i iso-8859-8-e",
        "cp1254": "iso-8859-9 iso8859-9 latin5 windows-1254 cp1254",
        "iso8859-10": "iso-8859-10 latin6",
        "cp874": "iso-8859-11 tis-620 windows-874 cp874",
        "iso8859-13": "iso-8859-13",
        "iso8859-14": "iso-8859-14",
        "iso8859-15": "iso-8859-15 iso8859-15 iso_8859-15 latin9 latin-9",
        "iso8859-16": "iso-8859-16",
        "cp1250": "windows-1250 cp1250 x-cp1250 win-1250",
        "cp1251": "windows-1251 cp1251 x-cp1251 win-1251",
        "cp1253": "windows-1253 cp1253",
        "cp1255": "windows-1255 cp1255",
        "cp1256": "windows-1256 cp1256",
        "cp1257": "windows-1257 cp1257",
        "cp1258": "windows-1258 cp1258",
        "cp437": "cp437 ibm437 437",
        "cp850": "cp850 ibm850 850",
        "cp852": "cp852 ibm852",
        "cp866": "cp866 ibm866 866",
        "koi8-r": "koi8-r koi8 koi cskoi8r",
        "koi8-u": "koi8-u koi8-ru",
        "mac_roman": "macintosh mac x-mac-roman macroman",
        "mac_cyrillic": "x-mac-cyrillic x-mac-ukrainian",
        "gb18030": "gb2312 gb18030 gbk gb_2312-80 x-gbk chinese cp936 ms936 936 euc-cn windows-936 gb-2312",
        "hz": "hz-gb-2312 hz",
        "big5hkscs": "big5 big5-hkscs x-x-big5 cn-big5 csbig5 cp950",
        "euc_jp": "euc-jp x-euc-jp eucjp",
        "iso2022_jp_ext": "iso-2022-jp csiso2022jp iso-2022-jp-1 iso-2022-jp-2 iso-2022-jp-ms",
        "iso2022_kr": "iso-2022-kr",
        "cp932": "shift_jis shift-jis sjis x-sjis ms_kanji windows-31j cp932 ms932",
        "cp949": "euc-kr euckr ks_c_5601-1987 ks_c_5601 ksc5601 korean windows-949 cp949 uhc",
        "utf-16": "utf-16 utf16 unicode",
        "utf-16-le": "utf-16le",
        "utf-16-be": "utf-16be",
        "utf-32": "utf-32",
    }.items()
    for label in labels.split()
}
_ASCII = frozenset({"us-ascii", "ascii", "ansi_x3.4-1968", "646", "iso646-us", "us",
                    "x-unknown", "unknown-8bit",
                    "unknown", "default", "default_charset", "7bit", "binary", "none", ""})
_TAKEN_FOR = {
    "iso2022_jp_ext": ("jis", "cp932"), "cp932": ("euc_jp",), "euc_jp": ("cp932",), "big5hkscs": ("gb18030",),
}
_JIS_RUN = re.compile(rb"\x1b\$[@B]((?:[^\x1b])*)\x1b\([BJ]")
# Four Chinese characters in a row; Latin letters beyond ASCII stand alone or in short runs.
_PAIRS = re.compile(rb"[\xb0-\xf7][\xa1-\xfe](?:[\xa1-\xf7][\xa1-\xfe]){3}")
SURROGATES = re.compile("[\ud800-\udfff]")


def decode(data: bytes, charset: str | None) -> tuple[str, bool]:
    """Text of ``data`` and whether the declared charset was the true one.

    A missing, unknown or false charset is tried as UTF-8, then read as windows-1252. Text that
    is labelled Latin-1 but is valid UTF-8 beyond ASCII is UTF-8: chance hardly makes such bytes.
    """
    label = (charset or "").strip("\"' \t").split("*", 1)[0].lower()  # RFC 2231 §5: charset*language
    like_ascii = label in _ASCII or _CODECS.get(label) in ("utf-8", "cp1252")
    if like_ascii and data.isascii() and b"\x1b" not in data:
        return data.decode("ascii"), True
    if b"\x1b$" in data and label in _ASCII:
        label = "iso-2022-jp"
    codec = _CODECS.get(label)
    if codec is None or codec == "cp1252":
        tried: tuple[str, ...] = ("utf-8-sig", codec or "gb2312", "cp1252", "cp932")
    elif codec == "utf-8":
        tried = ("utf-8-sig", "gb2312")
    else:
        tried = (codec, *_TAKEN_FOR.get(codec, ()), "utf-8")
    for each in tried:
        text = _strictly(data, each)
        if text is not None and (each != "gb2312" or _PAIRS.search(data)):
            return text, each == codec or (each, codec) == ("utf-8-sig", "utf-8")
    return _mostly(data, codec or "cp1252"), False


def is_charset(label: bytes) -> bool:
    """Whether ``label`` names a charset of the allow-list."""
    name = label.decode("latin-1").split("*", 1)[0].strip().lower()
    return name in _CODECS or name in _ASCII


def _strictly(data: bytes, codec: str) -> str | None:
    try:
        text = _japanese(data) if codec == "jis" else data.decode(codec)
    except (UnicodeError, ValueError):
        return None
    return None if SURROGATES.search(text) else text


def _japanese(data: bytes) -> str:
    """ISO-2022-JP as mailers write it: with the NEC and IBM characters that only Shift_JIS tables have."""
    out: list[str] = []
    for number, run in enumerate(_JIS_RUN.split(data)):
        if number % 2 == 0:
            out.append(run.decode("ascii"))
            continue
        pairs = bytearray()
        for high, low in zip(run[::2], run[1::2], strict=True):     # JIS X 0208 to Shift_JIS
            if not (0x21 <= high <= 0x7E and 0x21 <= low <= 0x7E):
                raise ValueError("not JIS X 0208")
            pairs.append(((high - 0x21) >> 1) + (0x81 if high < 0x5F else 0xC1))
            pairs.append(low + (0x1F if low < 0x60 else 0x20) if high & 1 else low + 0x7E)
        out.append(pairs.decode("cp932"))
    return "".join(out)


def _mostly(data: bytes, codec: str) -> str:
    """Best effort for bytes that are not what they claim: whichever reading loses less."""
    text = SURROGATES.sub("\ufffd", data.decode(codec, "replace"))
    if codec == "utf-8" and text.count("\ufffd") * 10 > len(text):
        return data.decode("cp1252", "replace")
    return text


# --- Headers --------------------------------------------------------------------------------

# RFC 2047 §2, but blanks and '?' inside the text are seen in the wild. The bound keeps a header
# of nothing but openings linear.
_WORD = re.compile(r"=\?([^?\s]{1,64})\?([bBqQ])\?(.{0,2000}?)\?=", re.DOTALL)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
_LINE_END = re.compile(r"[\r\n]+")


def decode_header(raw: bytes | str) -> str:
    """Readable form of a header value: RFC 2047 words and raw 8-bit text, no control characters.

    The bytes of adjacent words in one charset are joined before they are decoded, since
    senders split in the middle of a character (against RFC 2047 §5).
    """
    data = raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else raw
    if b"=?" not in data:
        return plain_line(decode(data, None)[0])
    source = _LINE_END.sub("", data.decode("latin-1"))
    out: list[str] = []
    held, held_charset, at = bytearray(), "", 0
    for word in _WORD.finditer(source):
        gap = source[at:word.start()]
        charset = word[1].split("*", 1)[0].lower()
        if held_charset and (charset != held_charset or gap.strip()):
            out.append(decode(bytes(held), held_charset)[0])
            held.clear()
        if gap.strip() or (gap and not held_charset):  # RFC 2047 §6.2: blanks between words vanish
            out.append(decode(gap.encode("latin-1"), None)[0])
        held += _word_bytes(word[2], word[3])
        held_charset, at = charset, word.end()
    if held_charset:
        out.append(decode(bytes(held), held_charset)[0])
    out.append(decode(source[at:].encode("latin-1"), None)[0])
    return plain_line("".join(out))


def _word_bytes(encoding: str, text: str) -> bytes:
    if encoding in "qQ":
        return binascii.a2b_qp(text.encode("latin-1"), header=True)
    return base64_bytes(text.encode("latin-1"))


def plain_line(text: str) -> str:
    """``text`` as one line: controls, line separators and lone surrogates become one blank each run."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return unicodedata.normalize("NFC", _CONTROL.sub(" ", text)).strip()


_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")


def base64_bytes(data: bytes) -> bytes:
    """RFC 2045 §6.8, lenient: foreign characters are skipped, a cut quantum is dropped."""
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
