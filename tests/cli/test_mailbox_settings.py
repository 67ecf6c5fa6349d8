"""[[mailbox]]: every problem is told with its remedy, secrets stay secret, what was learnt is kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import Config, load
from gateway.core.policy import Mailbox
from gateway.edge.spool import Spool
from gateway.errors import ConfigError, Problem
from gateway.mailboxes import open_mailboxes
from gateway.service import recipients

GOOD = """\
[mailwicket]
state = "state"
host = "desk.acme.example"
key = "ABC"

[[queue]]
name = "support"
address = ["support@acme.example", "help@acme.example"]

[[agent]]
login = "anna"
address = "anna@acme.example"

[[mailbox]]
name = "box"
queue = "support"
imap = "imap.acme.example:993"
smtp = "smtp.acme.example:587"
"""
PASSWORD = 'password_file = "secret"\n'
OAUTH = 'oauth_token_url = "https://login.acme.example/token"\noauth_client_id = "we"\noauth_refresh_token_file = "secret"\n'
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def at(text: str) -> Path:
        secret = tmp_path / "secret"
        secret.write_text("s3cr3t\nsecond line\n")
        secret.chmod(0o600)
        path = tmp_path / "mailwicket.toml"
        path.write_text(text, "utf-8")
        return path

    return at


def problems(path: Path) -> dict[str, Problem]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return {p.key: p for p in caught.value.problems}


def test_a_mailbox_needs_no_reply_domain_and_no_smarthost(write: Write) -> None:
    config = load(write(GOOD + PASSWORD + 'subaddressing = true\nauthenticates = ["acme.example"]\nagent = "anna"\n'))
    (account,) = config.accounts
    assert (account.address, account.username, account.start) == ("support@acme.example", "support@acme.example", "new")
    assert config.policy.queues[0].mailbox == Mailbox(name="box", subaddressing=True, agent="anna")
    relay = config.policy.relay("box")
    assert relay is not None and (relay.networks, relay.authenticates) == ((), ("acme.example",))
    assert config.policy.reply_domain == ""
    assert [w.key for w in config.warnings] == []


def test_a_queue_without_a_mailbox_still_needs_a_reply_domain(write: Write) -> None:
    found = problems(write(GOOD + PASSWORD + '[[queue]]\nname = "billing"\naddress = "billing@acme.example"\n'))
    assert list(found) == ["mailwicket.reply_domain"]
    assert "queue billing has no [[mailbox]]" in found["mailwicket.reply_domain"].remedy


@pytest.mark.parametrize(("text", "key", "word"), [
    (GOOD, "mailbox[0].password_file", "is needed"),
    (GOOD + PASSWORD + 'oauth_client_id = "we"\n', "mailbox[0].password_file", "not both"),
    (GOOD + 'oauth_client_id = "we"\noauth_client_secret_file = "secret"\n', "mailbox[0].oauth_token_url", "is needed"),
    (GOOD + OAUTH.replace('oauth_client_id = "we"\n', ""), "mailbox[0].oauth_client_id", "is needed"),
    (GOOD + OAUTH.replace('oauth_refresh_token_file = "secret"\n', ""), "mailbox[0].oauth_refresh_token_file", "is needed"),
    (GOOD + OAUTH.replace("https://", "http://"), "mailbox[0].oauth_token_url", "https"),
    (GOOD + PASSWORD + 'agent = "ana"\n', "mailbox[0].agent", '"anna"'),
    (GOOD.replace('queue = "support"', 'queue = "suport"') + PASSWORD, "mailbox[0].queue", '"support"'),
    (GOOD + PASSWORD + 'imap_tls = "none"\n', "mailbox[0].imap_tls", "implicit"),
    (GOOD + PASSWORD + 'smtp_tls = "none"\n', "mailbox[0].smtp_tls", "known here"),
    (GOOD + PASSWORD + 'cafile = "nowhere"\n', "mailbox[0].cafile", "cannot be read"),
    (GOOD + 'password_file = "nowhere"\n', "mailbox[0].password_file", "cannot be read"),
    (GOOD + PASSWORD + '[[relay]]\nname = "box"\nnetworks = ["10.0.0.1"]\n', "mailbox[0].name", "[[relay]]"),
    (GOOD.replace('"support@acme', f'"{"s" * 30}@acme') + PASSWORD + "subaddressing = true\n",
     "mailbox[0].subaddressing", "no room"),
])
def test_each_problem_names_its_key_and_the_way_out(write: Write, text: str, key: str, word: str) -> None:
    found = problems(write(text))
    # A queue that has no mailbox then is told, too, where that is the reason.
    assert set(found) - {"mailwicket.reply_domain"} == {key}
    assert word in found[key].remedy


def test_two_mailboxes_of_one_queue_are_refused(write: Write) -> None:
    second = GOOD[GOOD.index("[[mailbox]]"):].replace('"box"', '"box2"')
    assert set(problems(write(GOOD + PASSWORD + second + PASSWORD))) == {"mailbox[1].queue"}


def test_a_password_that_others_may_read_is_refused(write: Write, tmp_path: Path) -> None:
    path = write(GOOD + PASSWORD)
    (tmp_path / "secret").chmod(0o644)
    assert "chmod 600" in problems(path)["mailbox[0].password_file"].remedy


def test_agents_for_whom_no_provider_vouches_are_a_warning(write: Write) -> None:
    assert [w.key for w in load(write(GOOD + PASSWORD)).warnings] == ["relay.authenticates"]


# --- Opened ------------------------------------------------------------------------------------------


async def opened(config: Config, tmp_path: Path) -> str:
    """What the one mailbox would log in with first: a password or a refresh token."""
    (mailbox,) = open_mailboxes(config, Spool(tmp_path / "spool"), recipients(config.policy))
    assert mailbox.address == "support@acme.example"
    settings = mailbox.carrier.settings
    assert (settings.host, settings.port, settings.username) == ("smtp.acme.example", 587, "support@acme.example")
    assert "s3cr3t" not in repr(settings)
    tokens = settings.tokens
    return settings.password if tokens is None else tokens.settings.refresh_token  # type: ignore[attr-defined, no-any-return]


async def test_the_first_line_is_the_password(write: Write, tmp_path: Path) -> None:
    config = load(write(GOOD + PASSWORD))
    assert await opened(config, tmp_path) == "s3cr3t"


async def test_a_new_refresh_token_outlives_a_restart(write: Write, tmp_path: Path) -> None:
    """RFC 6749 §6: the old one may be dead. But one that the operator gives anew goes before it."""
    config = load(write(GOOD + OAUTH))
    (mailbox,) = open_mailboxes(config, Spool(tmp_path / "spool"), recipients(config.policy))
    tokens = mailbox.carrier.settings.tokens
    tokens._take({"access_token": "a", "refresh_token": "fresh"})   # type: ignore[union-attr]
    kept = config.state / "mailboxes" / "box.refresh"
    assert kept.stat().st_mode & 0o077 == 0
    assert await opened(config, tmp_path) == "fresh"
    (tmp_path / "secret").write_text("given anew\n")
    assert await opened(config, tmp_path) == "given anew"
    (tmp_path / "secret").write_text("s3cr3t\n")
    assert await opened(config, tmp_path) == "fresh"
    for damage in ("", "[]", json.dumps({"of": 3})):
        kept.write_text(damage)
        assert await opened(config, tmp_path) == "s3cr3t"


def test_addresses_below_the_mailbox_are_known_only_if_signed(write: Write) -> None:
    knows = recipients(load(write(GOOD + PASSWORD + "subaddressing = true\n")).policy)
    assert knows("support@acme.example")
    assert knows("postmaster@desk.acme.example")
    assert not knows("support+t-aa1.1-aaaaaaaaaaaaaaaaaaaa@acme.example")
    assert not knows("postmaster@")
