"""``mailwicket password``: lets an agent log in at the submission door, or no longer."""

from __future__ import annotations

import getpass
import sys

from gateway.config import Config
from gateway.edge.logins import SHORTEST, make_hash, write_user
from gateway.errors import StateError
from gateway.settings_kinds import did_you_mean


def change(config: Config, login: str, *, remove: bool) -> str:
    """Ask for the password of ``login`` and write its hash down, or take it away; what was done, as a sentence.

    Raises StateError if there is no place for it, no such agent, or the password will not do.
    """
    path = config.listen.users_file
    if path is None:
        raise StateError('there is no place for passwords; write users_file = "/etc/mailwicket/users" under [listen]')
    if remove:
        write_user(path, login, None)
        return f"{login} can no longer log in"
    if config.policy.agent(login) is None:
        raise StateError(f"no [[agent]] has the login {login}; {did_you_mean(login, [a.login for a in config.policy.agents])}")
    password = _typed(f"password of {login}: ")
    if len(password) < SHORTEST:
        raise StateError(f"the password has {len(password)} characters; take {SHORTEST} or more")
    write_user(path, login, make_hash(password))
    return f"{login} can log in from now on ({path})"


def _typed(prompt: str) -> str:
    """A secret from the terminal, twice, or the first line of standard input. Never an argument: others see those."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(prompt)
    if getpass.getpass("once more: ") != password:
        raise StateError("the two differ; nothing was changed")
    return password
