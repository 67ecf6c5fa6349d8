"""Access tokens for XOAUTH2, fetched before they expire.

Standards: RFC 6749 §4.4 (client credentials), §5 (token endpoint), §6 (refresh token).

Blocking urllib in a thread: one small request an hour needs no library. No redirect is followed,
since it would carry the secrets along. What the endpoint says is told only as far as RFC 6749 §5.2
has words for it; the rest may hold a token.

Limits: the first consent, where a person logs in and a refresh token is born, happens elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

_MOST = 64 * 1024
_WAIT = 20.0
_EARLY = 120.0      # seconds before its end in which a token is not used any more
_LIFE = 3600.0      # if the endpoint does not say
_ERROR_WORD = re.compile(r"[a-z_]{1,40}")
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


class TokenRefused(Exception):
    """The endpoint gave no token; the text is fit for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthSettings:
    """Without a refresh token the client's own credentials are used (RFC 6749 §4.4)."""

    token_url: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    scope: str = ""
    cafile: str | None = None

    def __post_init__(self) -> None:
        url = urllib.parse.urlsplit(self.token_url)
        near = url.scheme == "http" and url.hostname in {"127.0.0.1", "::1", "localhost"}
        if url.scheme != "https" and not near:
            raise ValueError(f"oauth: token_url = {self.token_url}: use https")


class TokenSource:
    """One account's token. ``keep`` is told a new refresh token if the endpoint hands one out."""

    def __init__(self, settings: OAuthSettings, keep: Callable[[str], None] | None = None) -> None:
        self.settings, self._keep = settings, keep
        self._refresh_token = settings.refresh_token
        self._token, self._until = "", 0.0
        self._lock = asyncio.Lock()

    async def token(self) -> str:
        """A token that is good for some minutes more; TokenRefused if there is none to be had."""
        async with self._lock:
            if time.monotonic() >= self._until:
                answer = await asyncio.to_thread(self._ask)
                self._take(answer)
            return self._token

    def refused(self) -> None:
        """The server did not want the last token: get another one next time."""
        self._until = 0.0

    def _take(self, answer: Any) -> None:
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise TokenRefused(f"{self.settings.token_url}: the answer has no access_token")
        try:
            life = float(answer.get("expires_in", _LIFE))
        except (TypeError, ValueError):
            life = _LIFE
        self._token = token
        # A token shorter than our margin serves one login; it is used at once.
        self._until = time.monotonic() + life - _EARLY
        fresh = answer.get("refresh_token")
        if isinstance(fresh, str) and fresh and fresh != self._refresh_token:
            # RFC 6749 §6: the client MUST discard the old one if a new one is issued.
            self._refresh_token = fresh
            if self._keep:
                self._keep(fresh)

    def _ask(self) -> Any:
        settings = self.settings
        form = {"client_id": settings.client_id, "grant_type": "client_credentials"}
        if self._refresh_token:
            form |= {"grant_type": "refresh_token", "refresh_token": self._refresh_token}
        if settings.client_secret:
            form["client_secret"] = settings.client_secret
        if settings.scope:
            form["scope"] = settings.scope
        request = urllib.request.Request(  # noqa: S310  # the scheme is checked by OAuthSettings.
            settings.token_url, data=urllib.parse.urlencode(form).encode(), headers={"Accept": "application/json"}
        )
        context = ssl.create_default_context(cafile=settings.cafile)
        opener = urllib.request.build_opener(_NoRedirect, urllib.request.HTTPSHandler(context=context))
        try:
            with opener.open(request, timeout=_WAIT) as answer:
                return json.loads(answer.read(_MOST))
        except urllib.error.HTTPError as error:
            with error:
                raise TokenRefused(f"{settings.token_url}: {error.code} {_error_word(error.read(_MOST))}") from None
        except (OSError, ValueError) as error:
            raise TokenRefused(f"{settings.token_url}: {type(error).__name__}: no token") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def _error_word(body: bytes) -> str:
    """RFC 6749 §5.2: ``error`` is one of a few words."""
    try:
        word = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return ""
    return word if isinstance(word, str) and _ERROR_WORD.fullmatch(word) else ""
