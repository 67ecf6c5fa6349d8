"""What the gateway tells of itself: structlog on standard error, for people or as JSON.

One canonical line per mail, a few for starts, stops and failures. Before any line is written,
secrets are starred (AUTH exchanges, passwords, Authorization; of a reply address the first four
characters of its signature stay, enough to compare two) and control characters are escaped, so
that no stranger's text can forge a line or drive a terminal. The records of the libraries
(logging) take the same way.

Limits: a secret is known by the name of its field or by the words around it; a password that
stands bare in a sentence is not.
"""

from __future__ import annotations

import functools
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

STARS = "****"
_MAX_DEPTH = 6

_SECRET_FIELD = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|authorization|credential|^auth$", re.IGNORECASE
)
_SECRET_TEXT = (
    # RFC 4954: the initial response and anything that looks like a continuation of AUTH.
    (re.compile(r"(?i)(\bAUTH\s+(?:[A-Z0-9_-]{3,20})\s+)([^\s'\"]+)"), r"\1" + STARS),
    (
        re.compile(
            r"(?i)(\bAuthorization['\"]?\s*[:=]\s*['\"]?(?:(?:Basic|Bearer|Digest|Negotiate)\s+)?)([^\s'\",]+)"
        ),
        r"\1" + STARS,
    ),
    (
        re.compile(
            r"(?i)(\b(?:password|passwd|pwd|secret|access_token|refresh_token)['\"]?\s*[:=]\s*b?)"
            r"('[^']*'|\"[^\"]*\"|[^\s,;&]+)"
        ),
        r"\1" + STARS,
    ),
    # The signatures of reply and bounce addresses, Message-IDs and marks (core/token.py).
    (re.compile(r"(?i)([-.][a-z2-7]{4})[a-z2-7]{16}(?![0-9a-z])"), r"\1" + STARS),
)
# What each of them needs, for one look at the many texts that hold none.
_PERHAPS_SECRET = re.compile(r"(?i)auth|passw|pwd|secret|_token|[a-z2-7]{20}")
# C0, DEL, C1, line and paragraph separators, bidirectional controls, lone surrogates.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def mask(text: str) -> str:
    """``text`` with what looks like a secret starred."""
    if not _PERHAPS_SECRET.search(text):
        return text
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text


def escape(text: str) -> str:
    """``text`` in one line that a terminal shows as it is."""
    if text.isascii() and text.isprintable():
        return text
    return _UNSAFE.sub(lambda m: m[0].encode("unicode_escape", "surrogatepass").decode(), text)


def mask_secrets(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """structlog processor: every value of the line, masked and escaped."""
    return {key: _clean(key, value, 0) for key, value in event.items()}


@functools.lru_cache(256)
def _is_secret(key: str) -> bool:
    return _SECRET_FIELD.search(key) is not None


def _clean(key: str, value: Any, depth: int) -> Any:
    if _is_secret(key) and value is not None and not isinstance(value, bool):
        return STARS
    if isinstance(value, bytes | bytearray):
        value = bytes(value[:500]).decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        text = mask(value)
        # A traceback keeps its lines; its own text is masked like all other.
        return "\n".join(map(escape, text.split("\n"))) if key == "exception" else escape(text)
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _MAX_DEPTH and isinstance(value, Mapping):
        return {escape(str(k)): _clean(str(k), v, depth + 1) for k, v in value.items()}
    if depth < _MAX_DEPTH and isinstance(value, list | tuple | set | frozenset):
        return [_clean("", v, depth + 1) for v in value]
    return escape(mask(str(value)))


class _Handler(logging.StreamHandler[TextIO]):
    """Writes to the given stream, else to what is standard error at that moment."""

    def __init__(self, given: TextIO | None) -> None:
        self._given = given
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return self._given or sys.stderr


def configure(
    style: Literal["console", "json"] = "console", level: str = "info", stream: TextIO | None = None
) -> None:
    """Set up structlog and logging for this process; again replaces what was set up before."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask_secrets,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    renderer: Processor = structlog.processors.JSONRenderer(default=str)
    if style == "console":
        renderer = structlog.dev.ConsoleRenderer(
            colors=(stream or sys.stderr).isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    handler = _Handler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [*(h for h in root.handlers if not isinstance(h, _Handler)), handler]
    root.setLevel(level.upper())
    # Its lines tell every connection, and below info every octet; a mail has one line of ours.
    logging.getLogger("mail.log").setLevel(max(logging.WARNING, root.level))
