"""Who may log in at the submission door: the users file, and how often one may guess.

A line of the file is ``login:$scrypt$ln=14,r=8,p=5$SALT$HASH``, written by ``mailwicket password``; the
file is read again when it changes, so a new password needs no restart. scrypt (RFC 7914) takes some
tenths of a second and 16 MiB: callers run ``check`` in a thread. A login that nobody has costs as
much as one with a wrong password, and compares in constant time.

``Guesses`` counts before the work is done, so that a thousand connections at once guess no more than one.
Limits: of SASLprep (RFC 4013) only its NFKC step; a guesser with many networks is held by the count of
the login, which spares networks that the agent has logged in from.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import stat
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StateError

_HASH = re.compile(r"\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)")
_LINE = re.compile(r"([a-z0-9][a-z0-9._-]{0,39}):(\S+)")
_MOST_MEMORY = 256 << 20    # a file by somebody else's hand must not take the machine
SHORTEST = 8                # characters; scrypt cannot save a shorter password


@dataclass(frozen=True, slots=True)
class Cost:
    """RFC 7914 §2: N is 2**ln; the default is one of OWASP's."""

    ln: int = 14
    r: int = 8
    p: int = 5


def make_hash(password: str, cost: Cost | None = None) -> str:
    cost, salt = cost or Cost(), secrets.token_bytes(16)
    return _line(cost, salt, _scrypt(password, salt, cost))


def matches(password: str, known: str) -> bool:
    """Whether ``known`` was made of ``password``; False as well if it is no hash of ours."""
    found = _HASH.fullmatch(known)
    if found is None:
        return False
    cost = Cost(*map(int, found.groups()[:3]))
    try:
        salt, wanted = (base64.b64decode(text + "=" * (-len(text) % 4), validate=True) for text in found.groups()[3:])
        return hmac.compare_digest(_scrypt(password, salt, cost), wanted)
    except (ValueError, TypeError, OverflowError, binascii.Error):      # parameters by somebody else's hand
        return False


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    text = unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")
    return hashlib.scrypt(text, salt=salt, n=1 << cost.ln, r=cost.r, p=cost.p, maxmem=_MOST_MEMORY, dklen=32)


def _line(cost: Cost, salt: bytes, found: bytes) -> str:
    return f"$scrypt$ln={cost.ln},r={cost.r},p={cost.p}${_shown(salt)}${_shown(found)}"


def _shown(octets: bytes) -> str:
    return base64.b64encode(octets).decode("ascii").rstrip("=")


# --- The users file -------------------------------------------------------------------------


def read_users(path: Path) -> dict[str, str]:
    """Login to hash. Raises StateError if it cannot be read, others may read it, or a line is none of ours."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StateError(f"{path} cannot be read ({error}); run as the user that owns it") from error
    if mode & 0o077:
        raise StateError(f"{path} holds password hashes but has mode {mode:04o}; run: chmod 600 {path}")
    users: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None or _HASH.fullmatch(found[2]) is None:
            raise StateError(f"{path}:{number} is no line of `mailwicket password`; remove it and set that password again")
        users[found[1]] = found[2]
    return users


def write_user(path: Path, login: str, known: str | None) -> None:
    """Put ``login`` into the file, or take it out with None; the file is replaced as a whole, mode 0600."""
    users = read_users(path) if path.exists() else {}
    users.pop(login, None)
    if known is not None:
        users[login] = known
    new = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:  # noqa: PTH123  # a descriptor has no path
        file.write("".join(f"{name}:{one}\n" for name, one in sorted(users.items())).encode("ascii"))
        file.flush()
        os.fsync(fd)
    new.replace(path)


class Users:
    """The file as it is now. ``check`` may be called from any thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int, int] | None = None
        self._users: dict[str, str] = {}
        self._nobody = _line(Cost(), secrets.token_bytes(16), secrets.token_bytes(32))     # nothing hashes to it

    def check(self, login: str, password: str) -> bool:
        """Whether ``password`` is that of ``login``. Raises StateError if the file is no longer what it was."""
        known = self._current().get(login)
        right = matches(password, known if known is not None else self._nobody)
        return right and known is not None

    def _current(self) -> dict[str, str]:
        with self._lock:
            try:
                found = self.path.stat()
            except FileNotFoundError:       # nobody has a password yet
                self._stamp, self._users = None, {}
                return self._users
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp != self._stamp:
                self._users, self._stamp = read_users(self.path), stamp
            return self._users


# --- Guessing -------------------------------------------------------------------------------


class Guesses:
    """How many wrong passwords a network and a login have left; each gets one back a minute."""

    def __init__(
        self, clock: Callable[[], float], *, per_network: int = 10, per_login: int = 30, most: int = 10_000,
        refill_seconds: float = 60.0,
    ) -> None:
        self._clock, self._refill = clock, refill_seconds
        self._most = most
        self._room = {"network": per_network, "login": per_login}
        self._spent: dict[str, OrderedDict[str, tuple[float, float]]] = {"network": OrderedDict(), "login": OrderedDict()}
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()     # (network, login) that have succeeded

    def begin(self, network: str, login: str) -> bool:
        """Take one guess from both; False if either has none left, and then nothing is taken."""
        ours = (network, login) in self._known
        kinds = {"network": network} if ours else {"network": network, "login": login}
        if any(self._now(kind, name) + 1 > self._room[kind] for kind, name in kinds.items()):
            return False
        for kind, name in kinds.items():
            self._add(kind, name, 1)
        return True

    def right(self, network: str, login: str) -> None:
        """The guess was right: it is given back, and this network may guess on whatever others do."""
        if (network, login) not in self._known:
            self._add("login", login, -1)
        self._add("network", network, -1)
        self._known[network, login] = None
        self._known.move_to_end((network, login))
        while len(self._known) > self._most:
            self._known.popitem(last=False)

    def _now(self, kind: str, name: str) -> float:
        spent, since = self._spent[kind].get(name, (0.0, self._clock()))
        return max(0.0, spent - (self._clock() - since) / self._refill)

    def _add(self, kind: str, name: str, count: int) -> None:
        table = self._spent[kind]
        table[name] = (max(0.0, self._now(kind, name) + count), self._clock())
        table.move_to_end(name)
        while len(table) > self._most:
            table.popitem(last=False)
