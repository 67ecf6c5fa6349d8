"""Which leaves of a mail are its body text, which are its HTML.

Standards: RFC 2046 §5.1.3 (mixed), §5.1.4 (alternative), RFC 2183 §2.9, RFC 2387 (related). Of an
alternative the plain text is taken if it says more than that there is HTML. In any other multipart all texts
follow one another; if they begin in plain text, HTML beside it is somebody's wrong alternative and
only shown as HTML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.mime.attachments import decoded, disposition, given_name
from gateway.mime.text import decode_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.mime.structure import Node

TEXTS = ("text/plain", "text/html")
ENRICHED = ("text/enriched", "text/richtext")   # RFC 1896: tags of their own
_FILES = (*TEXTS, "text/calendar", "text/vcard", "text/x-vcard", "text/directory", "text/csv", "text/rfc822-headers")
_PAGE = re.compile(rb"\s{0,200}(?:<!doctype html|<html[\s>])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Body:
    """Leaves whose text is read, in order, and the HTML leaves of the body."""

    shown: Sequence[Node]
    html: Sequence[Node]


def body_of(raw: bytes, root: Node, leaves: Sequence[Node]) -> Body:
    """The body of a mail. A mail whose only text has a file name shows that text too."""
    for each in leaves:
        if each.content_type == "text/plain" and _PAGE.match(raw, each.body_start, each.body_end):
            each.content_type = "text/html"     # some programs forget to say so
    found = _body(raw, root)
    if found.shown or found.html:
        return found
    other = next((each for each in leaves if each.content_type.startswith("text/") and _may_be_text(each)), None)
    if other is not None:
        return Body([other], [])
    leaf = next((each for each in leaves if each.content_type in TEXTS), None)
    if leaf is None or (leaf is not root and (disposition(leaf)[0] != "inline" or leaf is not leaves[0])):
        return found
    return Body([leaf], [leaf] if leaf.content_type == "text/html" else [])


def _body(raw: bytes, node: Node) -> Body:
    if not node.children:
        if not is_body_leaf(node):
            return Body([], [])
        return Body([node], [node] if node.content_type == "text/html" else [])
    found = [_body(raw, child) for child in node.children]
    html = [leaf for each in found for leaf in each.html]
    if node.content_type == "multipart/related" and (start := node.params.get("start", "").strip("<> ")):
        # RFC 2387 §3.2: what is shown begins with the root, wherever it stands.
        roots = [start in decode_header(child.header(b"content-id")) for child in node.children]
        found = [found[number] for number in sorted(range(len(found)), key=lambda number: not roots[number])]
    if node.content_type == "multipart/alternative":
        return Body(_alternative(raw, found), html)
    shown = [leaf for each in found for leaf in each.shown]
    shown = [leaf for leaf in shown if _says_something(raw, leaf)] or shown[:1]
    if shown and shown[0].content_type != "text/html":
        shown = [leaf for leaf in shown if leaf.content_type != "text/html"]
    return Body(shown, html)


def _alternative(raw: bytes, found: list[Body]) -> Sequence[Node]:
    plain = [each.shown for each in found if any(leaf.content_type != "text/html" for leaf in each.shown)]
    said = next((each for each in plain if any(_says_something(raw, leaf) for leaf in each)), None)
    if said is not None:
        return said
    # RFC 2046 §5.1.4: the last is the best; only HTML is left here.
    return next((each.shown for each in reversed(found) if each.html), plain[0] if plain else [])


def _may_be_text(leaf: Node) -> bool:
    """Whether a text of another type may be all that a mail says: nobody named it or called it a file."""
    return leaf.content_type not in _FILES and not given_name(leaf) and disposition(leaf)[0] != "attachment"


_SAYS_NOTHING = re.compile(rb"(?:\s|\xc2?\xa0|&nbsp;|\xe2\x80[\x8b-\x8f]|\xef\xbb\xbf)*")


def _says_something(raw: bytes, leaf: Node) -> bool:
    written = raw[leaf.body_start:leaf.body_end].strip()
    return bool(written) and (len(written) > 300 or not _SAYS_NOTHING.fullmatch(decoded(raw, leaf)))


def is_body_leaf(leaf: Node) -> bool:
    if leaf.content_type.startswith("multipart/"):
        return True                     # its boundary is lost: all its text is one
    if leaf.content_type not in TEXTS:
        return False
    if not leaf.header(b"content-disposition"):
        return "name" not in leaf.params
    return disposition(leaf)[0] != "attachment" and not given_name(leaf)
