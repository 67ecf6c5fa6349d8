"""The words by which admins change who is who, one line a change: by mail at control@, or in a shell.

    agent add bert bert@acme.example "Bert Oh" role=lead queues=support,billing

Reads a line against the table ADMIN; core/admin_act.py carries it out. Words match without regard to case,
in English or German. Every refusal says what would have been valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from gateway.core.address import canonical, domain, parse_mailbox
from gateway.core.command_value import fold
from gateway.core.sides import PUBLIC_PROVIDERS
from gateway.core.subject import header_text
from gateway.errors import AddressError

MOST_WORDS = 100        # of one line
MOST_LINE = 2000
MOST_NAME = 80
_WORD = re.compile(r'(\S*?)["“”„]([^"“”„]*)["“”„](?=\s|$)|(\S+)')
_LOGIN = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")

NOUNS: Final[dict[str, tuple[str, ...]]] = {
    "agent": ("agents", "agenten", "mitarbeiter", "mitarbeiterin", "bearbeiter", "bearbeiterin"),
    "team": ("teams", "gruppe", "group"),
    "organisation": ("organisations", "organization", "organisationen", "firma", "kunde", "company"),
}
ROLES: Final[dict[str, tuple[str, ...]]] = {
    "light": ("notes", "notizen", "leicht"), "agent": ("bearbeiter", "mitarbeiter"), "lead": ("leitung", "leiter", "leiterin"),
    "admin": ("verwalter", "administrator"), "none": ("keine", "hidden", "verborgen"),
}
SWITCH: Final[dict[str, tuple[str, ...]]] = {"on": ("an", "ein", "yes", "ja", "true"), "off": ("aus", "no", "nein", "false")}
LANGUAGES: Final[dict[str, tuple[str, ...]]] = {"en": ("english", "englisch"), "de": ("german", "deutsch")}
OPTIONS: Final[dict[str, tuple[str, ...]]] = {
    "role": ("rolle",), "queues": ("queue", "warteschlange", "warteschlangen"), "language": ("sprache",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminCommand:
    """One line as understood: ``name`` is a login, or the name of a team or organisation."""

    noun: str
    verb: str
    name: str
    values: tuple[str, ...] = ()                    # in the one form that core/admin_act.py reads
    options: tuple[tuple[str, str], ...] = ()       # of OPTIONS
    line: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminRow:
    """``value`` reads each word behind the name; ``fewest`` and ``most`` say how many there may be."""

    noun: str
    verb: str
    aliases: tuple[str, ...] = ()
    syntax: str                     # behind noun and verb
    help: str
    help_de: str
    value: Callable[[str], str]
    fewest: int = 0
    most: int = MOST_WORDS
    options: tuple[str, ...] = ()


def _among(table: Mapping[str, tuple[str, ...]], word: str) -> str:
    """The key of ``table`` that ``word`` names. Raises ValueError."""
    known = {fold(one): key for key, aliases in table.items() for one in (key, *aliases)}
    asked = fold(word[:MOST_NAME])
    if asked in known:
        return known[asked]
    near = get_close_matches(asked, known, n=1, cutoff=0.6)
    hint = f"did you mean {known[near[0]]}? " if near else ""
    raise ValueError(f"{hint}possible are {', '.join(table)}")


def _login(word: str) -> str:
    found = word.removeprefix("@").lower() if word.isascii() else word
    if not _LOGIN.fullmatch(found):
        raise ValueError(f"{word[:MOST_NAME]} is no login: use at most 40 of a-z, 0-9, dot, dash, underscore")
    return found


def _address(word: str) -> str:
    try:
        return canonical(parse_mailbox(word.removeprefix("<").removesuffix(">")))
    except AddressError as error:
        raise ValueError(f"{error}; write a bare address such as bert@acme.example") from error


def _signed_address(word: str) -> str:
    sign, bare = (word[0], word[1:]) if word[:1] in ("+", "-") else ("+", word)
    return sign + _address(bare)


def _address_or_name(word: str) -> str:
    """Behind a login stand one address and the name that customers see."""
    return _address(word) if "@" in word else _name(word)


def _name(word: str) -> str:
    found = header_text(word, MOST_NAME).strip()
    if not found:
        raise ValueError("write a name, in quotes if it has blanks")
    return found


def _domain(word: str) -> str:
    bare = word.removeprefix("@")
    try:
        found = domain(canonical(parse_mailbox(f"postmaster@{bare}")))
    except AddressError as error:
        raise ValueError(f"{word[:MOST_NAME]} is no domain; write it as acme.example") from error
    if found in PUBLIC_PROVIDERS:
        raise ValueError(f"{found} is a mail provider of everybody: no organisation can have it")
    if "." not in found or found.startswith("["):
        raise ValueError(f"{found} is no domain of a company; write it as acme.example")
    return found


def _role(word: str) -> str:
    """``lead``, or ``billing=light``."""
    queue, equals, role = word.rpartition("=")
    return f"{_login(queue)}={_among(ROLES, role)}" if equals else _among(ROLES, role)


def _read_switch(word: str) -> str:
    return _among(SWITCH, word)


def _read_language(word: str) -> str:
    return _among(LANGUAGES, word)


# fmt: off
ADMIN: Final[tuple[AdminRow, ...]] = (
    AdminRow(noun="agent", verb="add", aliases=("new", "hinzufügen", "anlegen", "neu"), value=_address_or_name,
             syntax='LOGIN ADDRESS "NAME" [role=ROLE] [queues=A,B] [language=de]', fewest=1, most=2,
             options=("role", "queues", "language"), help="somebody answers here from now on; without queues in all of them",
             help_de="jemand antwortet hier ab jetzt; ohne queues in allen"),
    AdminRow(noun="agent", verb="role", aliases=("roles", "rolle", "rollen"), value=_role, fewest=1,
             syntax="LOGIN ROLE|QUEUE=ROLE …", help="what an agent may do: light, agent, lead or admin; none hides a queue",
             help_de="was jemand darf: light, agent, lead oder admin; none verbirgt eine Queue"),
    AdminRow(noun="agent", verb="address", aliases=("addresses", "adresse", "adressen"), value=_signed_address, fewest=1,
             syntax="LOGIN +ADDRESS, -ADDRESS …", help="an agent's own addresses; we write to the first",
             help_de="eigene Adressen; wir schreiben an die erste"),
    AdminRow(noun="agent", verb="name", aliases=("rename",), value=_name, fewest=1, most=1,
             syntax='LOGIN "NAME"', help="the name customers see", help_de="der Name, den Kunden sehen"),
    AdminRow(noun="agent", verb="language", aliases=("sprache",), value=_read_language, fewest=1, most=1,
             syntax="LOGIN en|de", help="in which we write to an agent", help_de="in der wir jemandem schreiben"),
    AdminRow(noun="agent", verb="leave", aliases=("left", "leaves", "remove", "geht", "verlässt", "entfernen", "abgang"),
             value=_name, most=0, syntax="LOGIN",
             help="somebody is an agent no more: his reply addresses are dead, his tickets are nobody's",
             help_de="jemand ist nicht mehr dabei: Antwortadressen gelten nicht mehr, Tickets werden frei"),
    AdminRow(noun="team", verb="add", aliases=("new", "hinzufügen", "anlegen", "neu"), value=_login,
             syntax="NAME [LOGIN …]", help="a team, or more people for it", help_de="ein Team, oder mehr Leute dafür"),
    AdminRow(noun="team", verb="remove", aliases=("delete", "entfernen", "löschen"), value=_login,
             syntax="NAME [LOGIN …]", help="take these out of the team; without logins, the team itself goes",
             help_de="diese aus dem Team nehmen; ohne Namen das Team selbst"),
    AdminRow(noun="organisation", verb="add", aliases=("new", "hinzufügen", "anlegen", "neu"), value=_domain,
             syntax="NAME [DOMAIN …]", help="a customer company, or more domains of it",
             help_de="eine Firma als Kunde, oder mehr Domains von ihr"),
    AdminRow(noun="organisation", verb="remove", aliases=("delete", "entfernen", "löschen"), value=_domain,
             syntax="NAME [DOMAIN …]", help="take these domains from it; without domains, the organisation itself goes",
             help_de="diese Domains wegnehmen; ohne Domains die Organisation selbst"),
    AdminRow(noun="organisation", verb="share", aliases=("shared", "teilen", "geteilt"), value=_read_switch, fewest=1, most=1,
             syntax="NAME on|off", help="whether its people may add to each other's tickets",
             help_de="ob ihre Leute zu den Tickets der anderen beitragen dürfen"),
)
# fmt: on
_OPTION_VALUES: Final[dict[str, Callable[[str], str]]] = {
    "role": lambda value: _among(ROLES, value),
    "queues": lambda value: ",".join(dict.fromkeys(_login(one) for one in value.split(",") if one)),
    "language": _read_language,
}


def words_of(line: str) -> list[str]:
    """The words of a line; what stands in quotes is one."""
    return [m[3] if m[3] is not None else m[1] + m[2] for m in _WORD.finditer(line)]


def parse_admin(line: str) -> AdminCommand:
    """What ``line`` asks for. Raises ValueError with what would have been valid."""
    if len(line) > MOST_LINE:
        raise ValueError(f"a line may have {MOST_LINE} letters; send the rest in another one")
    return parse_words(words_of(line), line)


def parse_words(words: Sequence[str], line: str = "") -> AdminCommand:
    """The same of words that are told apart already, as a shell does."""
    if len(words) > MOST_WORDS:
        raise ValueError(f"a line may have {MOST_WORDS} words; send the rest in another one")
    noun = _among(NOUNS, words[0] if words else "")
    rows = {row.verb: row.aliases for row in ADMIN if row.noun == noun}
    verb = _among(rows, words[1] if len(words) > 1 else "")
    row = next(row for row in ADMIN if (row.noun, row.verb) == (noun, verb))
    if len(words) < 3:
        raise ValueError(f"{shown(row)}: whom or what?")
    name = _login(words[2]) if noun != "organisation" else _name(words[2])
    options: dict[str, str] = {}
    values: list[str] = []
    for word in words[3:]:
        key, equals, value = word.partition("=")
        option = _option(row, key) if equals else None
        if option is not None:
            options[option] = _OPTION_VALUES[option](value)
        else:
            values += [row.value(one) for one in _split(row, word)]
    if not row.fewest <= len(values) <= row.most:
        raise ValueError(f"write it as: {shown(row)}")
    return AdminCommand(
        noun=noun, verb=verb, name=name, values=tuple(values), options=tuple(options.items()), line=line or " ".join(words)
    )


def _option(row: AdminRow, key: str) -> str | None:
    """Which option of ``row`` stands before a =; None if the row has none, as where QUEUE=ROLE is a value."""
    return _among({o: OPTIONS[o] for o in row.options}, key) if row.options else None


def _split(row: AdminRow, word: str) -> list[str]:
    """Lists may have commas; names of people may, too."""
    return [word] if row.value in (_name, _address_or_name) else [one for one in word.split(",") if one]


def shown(row: AdminRow) -> str:
    return f"{row.noun} {row.verb} {row.syntax}"


def help_lines(language: str) -> list[str]:
    """The table for a person, two lines a row, in German if ``language`` says so, else in English."""
    german = language.partition("-")[0].casefold() == "de"
    return [line for row in ADMIN for line in (shown(row), f"    {row.help_de if german else row.help}")]
