"""The kinds of value a setting can have: how the documentation names each and how it is read.

A kind turns what TOML gave into the value the program uses, or raises ``ValueError`` with
the remedy as a sentence. Addresses go by RFC 5321 §4.1.2 (core/address.py); sizes by the
words of DuckDB (MB = 10^6, MiB = 2^20).

Limits: a kind sees one value; what two settings demand of each other is checked in config.py.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.core import address
from gateway.errors import AddressError

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
LANGUAGES = tuple(sorted(p.name for p in (Path(__file__).parent / "templates").glob("*") if p.is_dir()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A TCP address; port 0 lets the system choose a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """``words`` is what the documentation calls it; ``read`` converts or raises ValueError."""

    words: str
    read: Callable[[Any], Any]


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """The closest known word as a question, else all of them."""
    words = list(known)
    near = difflib.get_close_matches(wrong.casefold(), words, n=1, cutoff=0.6)
    return f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(words)}"


def _string(value: Any, example: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f'write a text in quotes, such as "{example}"')  # noqa: TRY004 - one error type for all kinds
    if not value.strip() or not value.isprintable():
        raise ValueError(f'write printable text that is not empty, such as "{example}"')
    return value.strip()


def _text(value: Any) -> str:
    text = _string(value, "Support")
    if len(text) > 200:
        raise ValueError("write at most 200 characters")
    return text


def _sql(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("write one SQL expression in quotes, such as \"subject ilike '%invoice%'\"")
    return value.strip()


def _letter(value: Any) -> str:
    if not isinstance(value, str) or not all(c.isprintable() or c in "\n\t" for c in value):
        raise ValueError('write a text in quotes; """ begins and ends one of several lines')
    if len(value) > 10_000:
        raise ValueError("write at most 10000 characters")
    return value.strip()


def _matching(pattern: str, example: str, remedy: str) -> Callable[[Any], str]:
    compiled = re.compile(pattern)

    def read(value: Any) -> str:
        text = _string(value, example)
        if not compiled.fullmatch(text):
            raise ValueError(f'{remedy}, such as "{example}"')
        return text

    return read


def _choice(words: tuple[str, ...]) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value not in words:
            raise ValueError(did_you_mean(str(value), words))
        return str(value)

    return read


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("write true or false, without quotes")  # noqa: TRY004
    return value


def _count(value: Any) -> int:
    # bool is an int in Python, but `workers = true` is a mistake.
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1_000_000:
        raise ValueError("write a whole number from 0 to 1000000, without quotes")
    return value


def _workers(value: Any) -> int:
    if not 1 <= (count := _count(value)) <= 64:
        raise ValueError("write a whole number from 1 to 64, without quotes")
    return count


def _zone(value: Any) -> str:
    text = _string(value, "Europe/Berlin")
    try:
        return ZoneInfo(text).key
    except (ValueError, OSError, KeyError) as error:     # ZoneInfoNotFoundError is a KeyError
        raise ValueError('write an IANA time zone, such as "Europe/Berlin"') from error


def _hour(value: Any) -> time | None:
    if value == "off":
        return None
    if not isinstance(value, str) or not (match := re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", value.strip())):
        raise ValueError('write hour and minute, such as "03:30", or "off"')
    return time(int(match[1]), int(match[2]))


def _clock(value: Any) -> str:
    """``07:30``, '' for off: as core knows times of day."""
    at = _hour(value)
    return f"{at:%H:%M}" if at is not None else ""


def _bytes(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    match = re.fullmatch(r"(\d{1,12}) ?([KMG]?I?B)?", value.upper()) if isinstance(value, str) else None
    if not match or (match[2] or "") not in UNITS or not int(match[1]):
        raise ValueError('write a size with its unit, such as "25MiB" or "512MB"')
    return int(match[1]) * UNITS[match[2] or ""]


def _size(value: Any) -> int:
    if (size := _bytes(value)) < 64 * 1024:
        # RFC 5321 §4.5.3.1.7: a server must take messages of at least 64K octets.
        raise ValueError('write at least "64KiB"; RFC 5321 §4.5.3.1.7 demands it')
    return size


def _memory(value: Any) -> str:
    if (size := _bytes(value)) < 128 * 10**6:
        raise ValueError('write at least "128MB"; below that the database cannot work')
    return f"{size // 10**6}MB"


def _endpoint(value: Any) -> Endpoint:
    host, colon, port = _string(value, "127.0.0.1:2525").rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError('write host and port, such as "127.0.0.1:2525" or "[::1]:2525"')
    if ":" in bare and bare == host:
        raise ValueError(f'put an IPv6 address into brackets: "[{bare}]:{port}"')
    if not re.fullmatch(r"[0-9A-Za-z._:%-]{1,255}", bare):
        raise ValueError('write a host name or address before the colon, "0.0.0.0:25" for all of IPv4')
    return Endpoint(host=bare, port=int(port))


def _door(value: Any) -> Endpoint | None:
    return None if value in ("off", "") else _endpoint(value)


def _door_or_path(value: Any) -> Endpoint | Path | None:
    if isinstance(value, str) and value.startswith(("/", "./")):
        return Path(value)
    return _door(value)


def _path(value: Any) -> Path:
    return Path(_string(value, "/var/lib/mailwicket")).expanduser()


def _mailbox(value: Any) -> str:
    text = _string(value, "support@acme.example")
    try:
        return address.canonical(address.parse_mailbox(text))
    except AddressError as e:
        raise ValueError(f'write a bare address such as "support@acme.example" ({e})') from None


def _domain(value: Any) -> str:
    text = _string(value, "acme.example")
    if "@" in text or text.startswith("["):
        raise ValueError('write a domain name without "@" or brackets, such as "acme.example"')
    try:
        return address.domain(address.canonical(address.parse_mailbox(f"postmaster@{text}")))
    except AddressError as e:
        raise ValueError(f'write a domain name such as "acme.example" ({e})') from None


def _network(value: Any) -> str:
    text = _string(value, "192.0.2.0/24")
    if text == "unix":
        return text
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        pass
    try:
        wanted = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            'write an address or a network, such as "192.0.2.7" or "192.0.2.0/24", or "unix" for our socket'
        ) from None
    raise ValueError(f'the network of that address is "{wanted}"; write that, or the address alone')


def _many(one: Callable[[Any], Any], example: str) -> Callable[[Any], tuple[Any, ...]]:
    """A list of values; one bare value is taken as a list of one."""

    def read(value: Any) -> tuple[Any, ...]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list):
            raise ValueError(f'write a list, such as ["{example}"]')  # noqa: TRY004
        results = []
        for v in values:
            try:
                results.append(one(v))
            except ValueError as e:
                raise ValueError(f"at {v!r}: {e}" if len(values) > 1 else str(e)) from None
        if twice := sorted({str(v) for v in results if results.count(v) > 1}):
            raise ValueError(f"{', '.join(twice)} stands there twice; remove one")
        return tuple(results)

    return read


_login = _matching(r"[a-z0-9][a-z0-9._-]{0,39}", "anna", "use at most 40 of a-z, 0-9, dot, dash, underscore")


def _queue_role(value: Any) -> tuple[str, str]:
    """billing, or billing=light."""
    queue, equals, role = _string(value, "billing=light").partition("=")
    return _login(queue), _choice(("none", "light", "agent", "lead"))(role) if equals else ""


TEXT = Kind(words="text", read=_text)
SQL = Kind(words="SQL expression", read=_sql)
KEY = Kind(words="2-10 capitals", read=_matching(r"[A-Z][A-Z0-9]{1,9}", "ABC", "use 2 to 10 of A-Z and 0-9"))
LOGIN = Kind(words="login", read=_login)
LOGINS = Kind(words="list of logins", read=_many(_login, "anna"))
QUEUE_ROLES = Kind(words="list of queues, queue=role", read=_many(_queue_role, "billing=light"))
NAME = Kind(words="name", read=_login)
_word = _matching(r"[^\W\d_][\w.-]{0,39}", "customer-number", "begin with a letter; use at most 40 letters, digits, dots, dashes")
WORD = Kind(words="word", read=_word)
WORDS = Kind(words="list of words", read=_many(_word, "customer-number"))
TEXTS = Kind(words="list of texts", read=_many(_text, "Berlin"))
LETTER = Kind(words="text of some lines", read=_letter)
LANGUAGE = Kind(words=" or ".join(LANGUAGES), read=_choice(LANGUAGES))
FLAG = Kind(words="true or false", read=_flag)
COUNT = Kind(words="number", read=_count)
ZONE = Kind(words="IANA zone", read=_zone)
HOUR = Kind(words='HH:MM or "off"', read=_hour)
CLOCK = Kind(words='HH:MM or "off"', read=_clock)
WORKERS = Kind(words="number, 1-64", read=_workers)
SIZE = Kind(words="size", read=_size)
MEMORY = Kind(words="size", read=_memory)
ENDPOINT = Kind(words="host:port", read=_endpoint)
DOOR = Kind(words='host:port or "off"', read=_door)
DOOR_OR_PATH = Kind(words='host:port, /path or "off"', read=_door_or_path)
PATH = Kind(words="path", read=_path)
ADDRESSES = Kind(words="list of addresses", read=_many(_mailbox, "support@acme.example"))
DOMAIN = Kind(words="domain", read=_domain)
DOMAINS = Kind(words="list of domains", read=_many(_domain, "acme.example"))
NETWORKS = Kind(words='list of networks, "unix"', read=_many(_network, "127.0.0.1/32"))
COMMANDS = Kind(words="list of commands", read=_many(_text, "#priority high"))


def one_of(*words: str) -> Kind:
    """A kind with a few allowed words."""
    return Kind(words=" or ".join(words), read=_choice(words))
