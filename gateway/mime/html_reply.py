"""Readable text of HTML, in which quoted text is marked as in plain mail.

``html_to_text`` gives a line a block, ``> `` before what a client wraps as quoted, and a rule where
Outlook begins what it does not wrap. Core then reads HTML mail with the same eyes as plain
mail (core/quote.py). The classes and ids below are those that clients write; quotes that none of them
marks are left to the words of their headers.

Only what holds nothing but quoted text is marked whole. Gmail's and Proton's outer element also holds the
answers between quotes, so there the blockquotes inside speak. Linear, and '' beyond the caps of text.neat_html.
"""

from __future__ import annotations

import html as entities
import re

from gateway.core.quote import announces, is_header
from gateway.mime.text import APART, SURROGATES, block_cleaner, neat_html

# What each mark means: "q" all of it is quoted, "h" it is the line above a quote, "r" a quote begins here
# and nothing but the end of the mail ends it.
_NAMED = {
    name: mark
    for mark, names in {
        "q": "yahoo_quoted zmail_extra isReplyContent mail-quote-collapse messageReplySection quotedReplySection "
             "tutanota_quote bloop_original_html yahoo_quoted_begin quote-body front-blockquote",
        "h": "gmail_attr moz-cite-prefix reply-intro airmail_ext_on moz-email-headers-table",
        "r": "divRplyFwdMsg OutlookMessageHeader appendonsend OLK_SRC_BODY_SECTION stopSpelling "
             "mail-editor-reference-message-container ms-outlook-mobile-reference-message replySplit "
             "orig-message isForwardContent",
    }.items()
    for name in names.split()
}
_AGAIN = re.compile(r"^(?:x_|ecx|m_-?\d+)+")       # quoted once more, clients put this before the names
# Word's way to begin a quote: border:none;border-top:solid #E1E1E1 1.0pt
_WORD_RULE = re.compile(r"border-top:\s*(?:solid\s+[#\w]{1,20}\s+1(?:\.0)?pt|1(?:\.0)?pt\s+solid)", re.IGNORECASE)
_HINTS = (*_NAMED, "border-top", "=quote", '="quote', "='quote")       # what ``_mark`` looks for, each as it looks for it
_ATTRIBUTES = {tag: {"class", "id", "name", "style"} for tag in ("div", "p", "blockquote", "span", "hr", "table", "td")}
_ANY_TAG = re.compile(r'<(/?)([a-z0-9]+)((?:[^>"]|"[^"]*")*)>')
_MARK = re.compile(r'="([qhr])"')
_MANY_LINES = re.compile(r"\n{3,}")
_VOID = ("br", "hr")
_RULE = "_" * 32        # as Outlook writes it into plain text
_MOST_QUOTED = 8


def html_to_text(html: str) -> str:
    """Text of ``html`` with a line a block and ``> `` before quoted lines; '' beyond the caps.

    nh3 first makes it well formed and drops what is not text, so a plain walk over the tags
    that are left is enough and linear.
    """
    # One search a name: an alternation of them, case folded, takes ten times as long.
    neat = neat_html(html, _MARKED) if any(hint in html for hint in _HINTS) else neat_html(html)
    if not neat:
        return ""
    walk = _Walk()
    at = 0
    for tag in _ANY_TAG.finditer(neat):
        start, end = tag.span()
        if at < start:
            walk.line.append(entities.unescape(neat[at:start]))
        at = end
        closing, name, attributes = tag.groups()
        walk.take(name, attributes, closing=bool(closing))
    walk.line.append(entities.unescape(neat[at:]))
    walk.end_line(always=False)
    text = "\n".join(walk.lines).replace("\xa0", " ")
    return _MANY_LINES.sub("\n\n", SURROGATES.sub("\ufffd", text)).strip("\n")


def _mark(_tag: str, attribute: str, value: str) -> str | None:
    """Of all attributes only our marks are left."""
    if attribute == "style":
        return "r" if "border-top" in value and _WORD_RULE.search(value[:2_000]) else None
    if attribute == "name":
        return "r" if value == "quote" else None    # GMX; as a class it may be anything
    return next(filter(None, (_NAMED.get(_AGAIN.sub("", word)) for word in value[:500].split())), None)


_MARKED = block_cleaner(_ATTRIBUTES, _mark)


class _Walk:
    """Lines in the making, and which elements are open."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self._open: list[str] = []      # the mark of each open element, "" for most
        self._quote = self._pre = self._header = 0

    def take(self, name: str, attributes: str, *, closing: bool) -> None:
        """One tag. nh3 wrote them, so every element that is opened is closed in its turn."""
        mark = _found(name, attributes)
        if name in ("td", "th"):
            self.line.append(" ")
        elif name != "span" or (mark == "r" and not closing):
            self.end_line(always=name == "br")
        if name not in _VOID:
            if closing:
                mark = self._open.pop() if self._open else ""
            else:
                self._open.append(mark)
            step = -1 if closing else 1
            self._quote += step * (mark == "q")
            self._header += step * (mark == "h")
            self._pre += step * (name == "pre")
        if closing:
            if name in APART and self.lines and self.lines[-1]:
                self.lines.append("")
        elif mark == "r" and any(self.lines) and self.lines[-1] != _RULE:
            self.lines += ["", _RULE]
        elif name == "li":
            self.line.append("- ")

    def end_line(self, *, always: bool) -> None:
        """Write the line that was read, or an empty one."""
        if not self.line and not always:
            return
        text = "".join(self.line) if self._pre else _collapsed("".join(self.line))
        self.line.clear()
        if not text and not always:
            return
        # A header that core knows by its words stays as it is: it says that the quote below is announced.
        unknown = self._header > 0 and text.strip() != "" and not (is_header(text) or announces(text.strip()))
        prefix = "> " * min(max(self._quote, int(unknown)), _MOST_QUOTED)
        self.lines.extend((prefix + each).rstrip() for each in text.split("\n"))


def _collapsed(text: str) -> str:
    """HTML §12.1.4: runs of its five blanks are one; a no-break space is none of them."""
    for blank in "\t\r\n\f":
        text = text.replace(blank, " ")
    return " ".join(filter(None, text.split(" "))).strip()


def _found(name: str, attributes: str) -> str:
    if name == "blockquote":
        return "q"
    marked = _MARK.search(attributes) if attributes else None
    return marked[1] if marked else ""
