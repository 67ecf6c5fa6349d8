"""A decided draft to an outbox row: words from the templates, headers, ids. Rendered once, sent as it is.

Standards: RFC 5322 §3.6 (identification, References), RFC 3834 (automatic answers), RFC 5321 §4.5.5
(null reverse-path). Templates are Jinja2, ``<language>/<template>.txt.j2`` and, where the look
matters, ``.html.j2``; they know nothing but their values. All are compiled at start, so a
misspelled one is found then and not in the middle of a batch. ``state()`` gives them the lines below
an agent's mail, made once for text and HTML.

What goes to customers: only the part of an agent's HTML that reads like the decided text
(html_cut), and no reply address of anybody's (token.strip_tokens).

Limits: HTML in ``values["html"]`` must come from text.clean_html; it is inserted as it stands.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, replace
from datetime import datetime
from email.utils import format_datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from jinja2 import FileSystemLoader, StrictUndefined, Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from gateway.core.decision import Draft, PartRef
from gateway.core.footer import footer_line, warning_line
from gateway.core.model import SignedId
from gateway.core.policy import Policy
from gateway.core.rows import OutboxRow
from gateway.core.subject import header_text, with_key
from gateway.core.token import hides_token, make_bounce, make_mark, make_message_id, strip_tokens
from gateway.mime.assemble import Fetch, body_of, cids_of, head_of
from gateway.mime.fields import mailbox
from gateway.mime.html_cut import agent_html

FALLBACK = "en"
_TO_CUSTOMERS = frozenset({"ack", "customer_help", "reply", "reply_rule", "vendor"})
_CUT = frozenset({"reply", "brief"})
_FIRST_IDS, _LAST_IDS = 4, 6        # of References: RFC 5322 §3.6.4 sets no end, servers do
_ID = re.compile(r"<?([!-;=?A-~]{1,120}@[!-;=?A-~]{1,120})>?")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_BREAKS = re.compile("\r\n|[\r\x85\u2028\u2029]")
_TAG = re.compile("<[^>]*>")
_json = json.JSONEncoder(ensure_ascii=False).encode
_PARAGRAPH = re.compile(r"\n{2,}")


class _Said(NamedTuple):
    """What the mails of one decision have in common: columns of OutboxRow, and the octets of the body."""

    text: str
    html: str
    parts: str
    boundary: str
    octets: bytes


class Composer:
    """Renders drafts; holds the compiled templates and what the configuration says about names."""

    def __init__(self, templates: Path, policy: Policy) -> None:
        self._policy = policy
        self._templates = _load(templates)
        # One mail goes to several agents with the same words; rendering them once halves the cost of a mail.
        self._last: tuple[object, _Said] = (None, _Said("", "", "", "", b""))

    def render(self, draft: Draft, outbox_id: int, now: datetime, fetch: Fetch) -> OutboxRow:
        """The final mail of ``draft``. Raises BadField rather than send an unfit header."""
        policy = self._policy
        rfc_id = make_message_id(policy.keys, SignedId(
            kind=draft.signed_kind, ticket=draft.ticket or 0, outbox=outbox_id, party=draft.recipient,
        ), policy.host)
        said = self._said_by(draft, fetch)
        headers = self._headers(draft, outbox_id, rfc_id, now)
        octets = head_of(headers)
        whole = hashlib.sha256(octets)
        whole.update(said.octets)
        return OutboxRow(
            id=outbox_id, kind=draft.kind, ticket=draft.ticket, message=draft.message,
            recipient=draft.recipient, rfc_id=rfc_id, rcpt_to=draft.rcpt_to,
            mail_from=draft.mail_from or make_bounce(policy.keys, outbox_id, policy.reply_domain),
            headers=_json(headers),
            text=said.text, html=said.html, parts=said.parts,
            boundary=said.boundary, sha256=whole.hexdigest(), size=len(octets) + len(said.octets), created_at=now,
        )

    def _said_by(self, draft: Draft, fetch: Fetch) -> _Said:
        key = (draft.kind, draft.template, draft.language, draft.from_address if draft.kind in _TO_CUSTOMERS else "",
               draft.values, draft.parts)
        if self._last[0] == key:
            return self._last[1]
        text, html, parts = self._body(draft)
        listed = _json([asdict(part) for part in parts])
        # Of the content, so that the same content makes the same octets for whomever.
        boundary = hashlib.sha256(f"{text}\0{html}\0{listed}".encode("utf-8", "replace")).hexdigest()[:32]
        said = _Said(text, html, listed, boundary, body_of(text, html, parts, boundary, fetch))
        self._last = (key, said)
        return said

    def _body(self, draft: Draft) -> tuple[str, str, tuple[PartRef, ...]]:
        values = dict(draft.values)
        given = str(values.get("html") or "")
        cut = agent_html(given, str(values["text"])) if draft.kind in _CUT or values.get("cut") else given
        if "html" in values:
            values["html"] = Markup(cut)  # noqa: S704  # clean_html made it
        values["state"] = cache(lambda: self._template(draft.language, "_state.txt").render(draft.values))
        text = clean_text(self._template(draft.language, f"{draft.template}.txt").render(values)) + "\n"
        page = self._find(draft.language, f"{draft.template}.html")
        html = clean_text(page.render(values)) if page else ""
        if draft.kind in _TO_CUSTOMERS:
            text, html = (self._without_tokens(draft, body) for body in (text, html))
            if cut and hides_token(unquote(_TAG.sub("", html) + html)):
                return self._body(replace(draft, values={**draft.values, "html": ""}))
        return text, html, tuple(p for p in draft.parts if not (cut and _was_cut_off(p, given, cut)))

    def _headers(self, draft: Draft, outbox_id: int, rfc_id: str, now: datetime) -> list[tuple[str, str]]:
        policy = self._policy
        subject, from_name, to_name = draft.subject, draft.from_name, draft.to_name
        if draft.kind in _TO_CUSTOMERS:
            subject, from_name, to_name = (
                self._without_tokens(draft, text) for text in (subject, from_name, to_name)
            )
        subject = header_text(subject)
        if draft.ticket is not None:
            subject = with_key(subject, policy.key, draft.ticket, reply=not draft.values.get("first"))
        headers = [
            ("From", mailbox(header_text(from_name, 120), draft.from_address)),
            ("To", mailbox(header_text(to_name, 120), draft.rcpt_to)),
            ("Subject", subject),
            ("Date", _date(now)),
            ("Message-ID", f"<{rfc_id}>"),
        ]
        if draft.reply_to:
            headers.append(("Reply-To", f"<{draft.reply_to}>"))
        parent = _bare_id(draft.in_reply_to or "")
        if parent:
            headers.append(("In-Reply-To", f"<{parent}>"))
        references = self._references(draft, parent)
        if references:
            headers.append(("References", " ".join(f"<{each}>" for each in references)))
        headers.append(("X-Mailwicket-Id", make_mark(policy.keys, outbox_id)))
        if draft.automatic:
            # RFC 3834 §5; the second is Exchange's word for the same.
            headers += [("Auto-Submitted", draft.automatic), ("X-Auto-Response-Suppress", "All")]
        return headers + [(name, header_text(value)) for name, value in draft.extra_headers]

    def _references(self, draft: Draft, parent: str) -> list[str]:
        """The ticket's own root first, so that all its mail hangs together in every client.

        Not for a vendor: the root is proof of belonging to the ticket itself.
        """
        policy, roots = self._policy, []
        if draft.ticket is not None and draft.kind != "vendor":
            root = SignedId(kind="r", ticket=draft.ticket, outbox=0, party=0)
            roots = [make_message_id(policy.keys, root, policy.host)]
        known = [each for each in map(_bare_id, draft.references) if each not in ("", parent, *roots)]
        known = list(dict.fromkeys([*known, *([parent] if parent else [])]))
        if len(known) > _FIRST_IDS + _LAST_IDS:
            known = known[:_FIRST_IDS] + known[-_LAST_IDS:]
        return roots + known

    def _without_tokens(self, draft: Draft, text: str) -> str:
        return strip_tokens(text, self._policy.reply_domain, draft.from_address)

    def _template(self, language: str, name: str) -> Template:
        found = self._find(language, name)
        if found is None:
            raise LookupError(f"there is no template {name}.j2 in {FALLBACK}")
        return found

    def _find(self, language: str, name: str) -> Template | None:
        """The template in this language, in its base language (de-AT, de), or in English."""
        language = language.lower()
        for folder in (language, language.partition("-")[0], FALLBACK):
            if (found := self._templates.get(f"{folder}/{name}.j2")) is not None:
                return found
        return None


def clean_text(text: str) -> str:
    """``text`` with LF line ends, without controls, without blanks at line ends and around it."""
    # "".join makes a plain str of Markup, whose methods would escape or pass for safe later on.
    plain = "".join((text, ""))  # noqa: FLY002
    lines = plain.split("\n")
    if plain.isascii() and "".join(lines).isprintable():        # as most are: nothing to replace
        if " \n" not in plain and not plain.endswith(" "):
            return plain.strip("\n")
    else:
        lines = _CONTROL.sub("", _BREAKS.sub("\n", plain)).split("\n")
    return "\n".join([line.rstrip() for line in lines]).strip("\n")


def paragraphs(text: str) -> Markup:
    """Plain text as HTML: escaped, a ``<p>`` a paragraph, no links made of it."""
    blocks = _PARAGRAPH.split(str(escape(clean_text(text))))        # escaping makes and takes no line end
    broken = [block.replace("\n", "<br>\n") for block in blocks if block.strip()]
    return Markup("\n".join([f"<p>{block}</p>" for block in broken]))  # noqa: S704  # escaped above


def quoted(text: str) -> str:
    """``text`` behind ``>``, the way RFC 3676 §4.5 writes depth."""
    return "\n".join(f">{line}" if line.startswith(">") else f"> {line}".rstrip()
                     for line in clean_text(text).split("\n"))


def human_size(size: int) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size} {unit}"
        size = (size + 500) // 1000
    return f"{size} GB"


def _load(folder: Path) -> dict[str, Template]:
    environment = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader(folder), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        auto_reload=False,      # else every include asks the disk whether it is still the same
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
    )
    environment.filters.update(paragraphs=paragraphs, quoted=quoted, human_size=human_size)
    environment.globals.update(footer=footer_line, warning=warning_line)
    return {name: environment.get_template(name) for name in environment.list_templates(extensions=["j2"])}


_date = lru_cache(maxsize=4)(format_datetime)     # a batch has one time


def _bare_id(text: str) -> str:
    """A message identifier without its brackets; '' if it is none that every server takes."""
    found = _ID.fullmatch(text.strip())
    return found[1] if found else ""


def _was_cut_off(part: PartRef, given: str, cut: str) -> bool:
    """A picture that only the removed part of the HTML showed, such as a logo in the quotation."""
    return part.content_id is not None and part.content_id in cids_of(given) - cids_of(cut)
