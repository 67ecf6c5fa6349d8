"""The exception tree. An error has two faces (public words, private cause) and a duration.

MailwicketError
├── ConfigError         every problem of a configuration at once
├── AddressError        an address or path that RFC 5321 does not allow
├── Temporary           try again later: SMTP 4xx
├── Permanent           never again: SMTP 5xx
├── StateError          the state directory cannot be used as it is; says the remedy
│   ├── AlreadyRunning  another gateway holds the lock
│   ├── DiskFailed      an fsync failed: what was written cannot be trusted, the service must end
│   └── Damaged         journal, database or spool are not as they were written
└── Opaque              a mail that cannot be read beyond its headers, and why
"""

from __future__ import annotations

from dataclasses import dataclass


class MailwicketError(Exception):
    """Base of all our errors; ``str()`` is fit for an operator, never for a peer."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration: where, what, and what to do."""

    file: str
    key: str
    value: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key} = {self.value}: {self.remedy}"


class ConfigError(MailwicketError):
    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class AddressError(MailwicketError, ValueError):
    """Not a mailbox or path by RFC 5321 §4.1.2."""


class SmtpError(MailwicketError):
    """What the peer is told (RFC 5321 code, RFC 3463 enhanced code) and what only we know."""

    def __init__(self, code: int, enhanced: str, public: str, cause: str = "") -> None:
        super().__init__(f"{code} {enhanced} {public}" + (f" ({cause})" if cause else ""))
        self.code, self.enhanced, self.public, self.cause = code, enhanced, public, cause

    @property
    def reply(self) -> str:
        return f"{self.code} {self.enhanced} {self.public}"


class Temporary(SmtpError):
    """4xx: nothing was accepted, the peer shall try again."""


class Permanent(SmtpError):
    """5xx: the peer shall not try again."""


class StateError(MailwicketError):
    """The state directory cannot be used; the text ends with the remedy."""


class AlreadyRunning(StateError):
    pass


class DiskFailed(StateError):
    pass


class Damaged(StateError):
    pass


class Opaque(MailwicketError):
    """The mail is stored but not read; the text says which limit it broke."""
