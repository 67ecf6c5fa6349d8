"""Capability addresses, our own Message-IDs and the mark of our own mail, all signed.

    reply address   t-<kid><role><ticket>.<party>-<mac>@<reply domain>
    bounce address  b-<kid><outbox>-<mac>@<reply domain>
    Message-ID      <kind><kid>.<ticket>.<outbox>.<party>.<mac>@<host>
    mark            <kid><outbox>.<mac>            (the value of X-Mailwicket-Id)

Numbers are base 36 without leading zeros, so each value has one spelling. ``mac`` is the first
100 bits of HMAC-SHA256 (RFC 2104) over the purpose, the key id and the fields, in base 32
(RFC 4648 §6). All is lower case and read in any case, since some systems fold local parts
(RFC 5321 §2.4 allows none to, and they do). A local part is at most 50 octets, a Message-ID's
at most 62 (RFC 5321 §4.5.3.1.1 allows 64), so an id is below 36^12.

Whoever holds a reply address may use it: it stands in quoted mail and in forwards. What it
proves is level 2 of core/identity.py and no more. There is no expiry; a key id is retired by
taking its secret out of the ring.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, cast

from gateway.core.address import canonical
from gateway.core.model import SignedId, Token

_MIN_SECRET = 16        # octets; 100 bits of MAC want at least as much secret
_MAC_BITS = 100
_MAC_LETTERS = _MAC_BITS // 5
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_BASE32_PAIRS = [one + two for one in _BASE32 for two in _BASE32]
_MAX_DIGITS = 12
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"

_KID = "[a-z]"
_NUMBER = f"[0-9a-z]{{1,{_MAX_DIGITS}}}"
_MAC = f"[a-z2-7]{{{_MAC_LETTERS}}}"
_ADDRESS = re.compile(f"t-({_KID})([ancv])({_NUMBER})[.]({_NUMBER})-({_MAC})")
_HIDDEN = re.compile(f"t-{_KID}[ancv]{_NUMBER}[.]{_NUMBER}-{_MAC}")
_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")
_MOST_SEARCHED = 200_000
_BOUNCE = re.compile(f"b-({_KID})({_NUMBER})-({_MAC})")
_MESSAGE_ID = re.compile(f"([pnixrv])({_KID})[.]({_NUMBER})[.]({_NUMBER})[.]({_NUMBER})[.]({_MAC})")
_MARK = re.compile(f"({_KID})({_NUMBER})[.]({_MAC})")

# A separator as it stands in text, in a URL, in quoted-printable and in HTML.
_DASH = "(?:-|[%=]2d|&#0{0,5}45;|&#x0{0,5}2d;)"
_DOT = "(?:[.]|[%=]2e|&#0{0,5}46;|&#x0{0,5}2e;|&period;)"
_PLUS = "(?:[+]|[%=]2b|&#0{0,5}43;|&#x0{0,5}2b;|&plus;)"
_AT = "(?:@|[%=]40|&#0{0,5}64;|&#x0{0,5}40;|&commat;)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyring:
    """Secrets by key id (one letter). ``current`` signs; every one verifies."""

    current: str
    secrets: tuple[tuple[str, bytes], ...] = field(repr=False)

    def __post_init__(self) -> None:
        kids = [kid for kid, _ in self.secrets]
        if len(set(kids)) != len(kids) or not all(re.fullmatch(_KID, kid) for kid in kids):
            raise ValueError("every key id must be a different single letter a-z")
        if self.current not in kids:
            raise ValueError("the current key id must have a secret")
        if any(len(secret) < _MIN_SECRET for _, secret in self.secrets):
            raise ValueError(f"every secret must have at least {_MIN_SECRET} octets")

    def secret(self, kid: str) -> bytes | None:
        return next((secret for known, secret in self.secrets if known == kid), None)


def make_address(keys: Keyring, token: Token, reply_domain: str) -> str:
    """The reply address of one person on one ticket."""
    ticket, party = _to36(token.ticket), _to36(token.party)
    mac = _sign(keys, "address", token.role, ticket, party)
    return f"t-{keys.current}{token.role}{ticket}.{party}-{mac}@{reply_domain.lower()}"


def read_address(keys: Keyring, address: str, reply_domain: str) -> Token | None:
    """What a reply address says, or None if it is no valid one of ours."""
    found = _match(_ADDRESS, address, reply_domain)
    if found is None:
        return None
    kid, role, ticket, party, mac = found.groups()
    if not _verified(keys, kid, mac, "address", role, ticket, party):
        return None
    return Token(role=cast("Literal['a', 'n', 'c', 'v']", role), ticket=int(ticket, 36), party=int(party, 36))


def make_bounce(keys: Keyring, outbox: int, reply_domain: str) -> str:
    """The envelope sender of one outgoing mail, so that its bounce names it."""
    number = _to36(outbox)
    return f"b-{keys.current}{number}-{_sign(keys, 'bounce', number)}@{reply_domain.lower()}"


def read_bounce(keys: Keyring, address: str, reply_domain: str) -> int | None:
    """The outbox id of a valid bounce address."""
    found = _match(_BOUNCE, address, reply_domain)
    if found is None or not _verified(keys, found[1], found[3], "bounce", found[2]):
        return None
    return int(found[2], 36)


def make_message_id(keys: Keyring, signed: SignedId, host: str) -> str:
    """A Message-ID (RFC 5322 §3.6.4), without angle brackets, that we know again as our own."""
    numbers = (_to36(signed.ticket), _to36(signed.outbox), _to36(signed.party))
    mac = _sign(keys, "message-id", signed.kind, *numbers)
    return f"{signed.kind}{keys.current}.{'.'.join(numbers)}.{mac}@{host.lower()}"


def read_message_id(keys: Keyring, rfc_id: str, host: str) -> SignedId | None:
    """What one of our Message-IDs says, with or without angle brackets; None if it is not ours."""
    found = _match(_MESSAGE_ID, rfc_id.strip().removeprefix("<").removesuffix(">"), host)
    if found is None:
        return None
    kind, kid, ticket, outbox, party, mac = found.groups()
    if not _verified(keys, kid, mac, "message-id", kind, ticket, outbox, party):
        return None
    return SignedId(
        kind=cast("Literal['p', 'n', 'i', 'x', 'r', 'v']", kind),
        ticket=int(ticket, 36), outbox=int(outbox, 36), party=int(party, 36),
    )


def make_mark(keys: Keyring, outbox: int) -> str:
    """The value of X-Mailwicket-Id: by it a mail of ours is known even under another Message-ID."""
    number = _to36(outbox)
    return f"{keys.current}{number}.{_sign(keys, 'mark', number)}"


def read_mark(keys: Keyring, text: str) -> int | None:
    """The outbox id of a valid mark."""
    value = text.strip()
    found = _MARK.fullmatch(value.lower()) if value.isascii() else None
    if found is None or not _verified(keys, found[1], found[3], "mark", found[2]):
        return None
    return int(found[2], 36)


def hides_token(text: str) -> bool:
    """Whether a reply address stands in ``text`` in pieces: wrapped, with invisible or look-alike signs in it.

    ``strip_tokens`` replaces what stands whole; what is left here was meant for agents' eyes, or for nobody's.
    """
    folded = unicodedata.normalize("NFKC", text[:_MOST_SEARCHED]).casefold()
    signs = "".join("-" if unicodedata.category(c) == "Pd" else c for c in folded)
    return _HIDDEN.search("".join(c for c in signs if c in _SIGNS)) is not None


def strip_tokens(text: str, reply_domain: str, replacement: str) -> str:
    """``text`` with every reply and bounce address, valid or not, replaced.

    A reply address goes whatever its domain, or without one; a bounce address only at ours, since
    ``web-based-internationalization`` has its grammar too. What stands around it (``mailto:``,
    angle brackets) stays. Separators may be percent-encoded, quoted-printable or HTML references;
    letters may not.
    """
    return _any_token(reply_domain).sub(lambda _: replacement, text)


@lru_cache(maxsize=4)       # one reply domain a process
def _any_token(reply_domain: str) -> re.Pattern[str]:
    own = re.escape(reply_domain) + "(?![a-z0-9-])"
    other = "[a-z0-9](?:[a-z0-9.-]{0,253}[a-z0-9])?"
    below = f"(?:(?<![a-z0-9._-])[a-z0-9._-]{{1,64}}{_PLUS})?"     # support+t-…@acme.example
    reply = f"{below}t{_DASH}{_KID}[ancv]{_NUMBER}{_DOT}{_NUMBER}{_DASH}{_MAC}(?:{_AT}(?:{own}|{other}))?"
    bounce = f"b{_DASH}{_KID}{_NUMBER}{_DASH}{_MAC}{_AT}{own}"
    return re.compile(f"{reply}|{bounce}", re.ASCII | re.IGNORECASE)


def _match(grammar: re.Pattern[str], address: str, wanted_domain: str) -> re.Match[str] | None:
    # Non-ASCII goes first: lower() of the Kelvin sign is "k".
    if not address.isascii():
        return None
    local_part, _, found_domain = canonical(address).rpartition("@")
    return grammar.fullmatch(local_part) if found_domain == wanted_domain.lower() else None


def _to36(number: int) -> str:
    if not 0 <= number < 36 ** _MAX_DIGITS:
        raise ValueError(f"an id must be from 0 to 36^{_MAX_DIGITS} - 1, not {number}")
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits


def _sign(keys: Keyring, purpose: str, *fields: str) -> str:
    secret = keys.secret(keys.current)
    assert secret is not None   # Keyring sees to that
    return _mac(secret, purpose, keys.current, *fields)


def _verified(keys: Keyring, kid: str, mac: str, purpose: str, *fields: str) -> bool:
    """Whether ``mac`` signs ``fields``. They are signed as spelled, so 01 is not 1."""
    secret = keys.secret(kid)
    return secret is not None and hmac.compare_digest(mac, _mac(secret, purpose, kid, *fields))


@lru_cache(maxsize=32)
def _signer(secret: bytes) -> hmac.HMAC:
    return hmac.new(secret, digestmod="sha256")


def _mac(secret: bytes, purpose: str, *fields: str) -> str:
    # NUL cannot stand in a field, so no two lists of fields give the same bytes.
    said = "\0".join(("mailwicket", purpose, *fields)).encode("ascii")
    signer = _signer(secret).copy()     # half the price of setting up the key for each
    signer.update(said)
    bits = int.from_bytes(signer.digest(), "big") >> 256 - _MAC_BITS
    # Ten bits at a time: a mail of ours has a dozen of these, and base64.b32encode takes five times as long.
    return "".join([_BASE32_PAIRS[bits >> place & 1023] for place in range(_MAC_BITS - 10, -1, -10)])
