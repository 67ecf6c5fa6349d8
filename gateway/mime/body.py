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
from gateway.mime.text import decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.mime.structure import Node

_MOST_STUB = 400    # characters
_STUB = re.compile(
    r"support|display|view|enabl|capable|compatible|client|reader|unterstütz|anzeig|angezeigt|darstell|affich|lire|visuali|"
    r"mostrar|compatib|weergeven|visa|vis(?:e|es)|wyświetl|zobraz|näytt|просмотр|отобра|表示|查看|显示"
)
_SENTENCE = re.compile(r"[.!?。]\s")
_TEXTS = ("text/plain", "text/html")


@dataclass(frozen=True, slots=True)
class Body:
    """Leaves whose text is read, in order, and the HTML leaves of the body."""

    shown: Sequence[Node]
    html: Sequence[Node]


def body_of(raw: bytes, root: Node, leaves: Sequence[Node]) -> Body:
    """The body of a mail. A mail whose only text has a file name shows that text too."""
    found = _body(raw, root)
    if found.shown or found.html:
        return found
    leaf = next((each for each in leaves if each.content_type in _TEXTS), None)
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
    if node.content_type == "multipart/alternative":
        return Body(_alternative(raw, found), html)
    shown = [leaf for each in found for leaf in each.shown]
    shown = [leaf for leaf in shown if _says_something(raw, leaf)] or shown[:1]
    if shown and shown[0].content_type != "text/html":
        shown = [leaf for leaf in shown if leaf.content_type != "text/html"]
    return Body(shown, html)


def _alternative(raw: bytes, found: list[Body]) -> Sequence[Node]:
    plain = [each.shown for each in found if any(leaf.content_type != "text/html" for leaf in each.shown)]
    has_html = any(each.html for each in found)
    said = next((
        each for each in plain
        if any(_says_something(raw, leaf) for leaf in each) and not (has_html and all(_is_stub(raw, leaf) for leaf in each))
    ), None)
    if said is not None:
        return said
    # RFC 2046 §5.1.4: the last is the best; only HTML is left here.
    return next((each.shown for each in reversed(found) if each.html), plain[0] if plain else [])


def _says_something(raw: bytes, leaf: Node) -> bool:
    return bool(raw[leaf.body_start:leaf.body_end].strip())


def _is_stub(raw: bytes, leaf: Node) -> bool:
    """Plain text that only says that the mail is in HTML. If a person wrote it, the HTML says it too."""
    if leaf.body_end - leaf.body_start > 2 * _MOST_STUB:
        return False
    text = decode(decoded(raw, leaf), leaf.params.get("charset"))[0].strip().lower()
    first = _SENTENCE.split(text, maxsplit=1)[0]
    return len(text) <= _MOST_STUB and "html" in first and _STUB.search(text) is not None


def is_body_leaf(leaf: Node) -> bool:
    if leaf.content_type.startswith("multipart/"):
        return True                     # its boundary is lost: all its text is one
    if leaf.content_type not in _TEXTS:
        return False
    if not leaf.header(b"content-disposition"):
        return "name" not in leaf.params
    return disposition(leaf)[0] != "attachment" and not given_name(leaf)
