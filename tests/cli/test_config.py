"""Configuration: the desk for trying, every problem at once with place and remedy, secrets kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import Config, load, settings_table
from gateway.core.policy import Budgets
from gateway.errors import ConfigError, Problem
from gateway.keys import keys, passing_keys
from gateway.settings_doc import SECTIONS, SETTINGS
from gateway.settings_file import read
from gateway.settings_kinds import Endpoint
from gateway.starter import TRIAL

GOOD = """\
[mailwicket]
state = "state"
host = "desk.acme.example"
key = "ABC"
reply_domain = "reply.acme.example"

[[relay]]
name = "mx"
networks = ["192.0.2.7"]
authenticates = ["acme.example"]

[[queue]]
name = "support"
address = "support@acme.example"

[[agent]]
login = "anna"
address = "anna@acme.example"
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def at(text: str) -> Path:
        path = tmp_path / "mailwicket.toml"
        path.write_text(text, "utf-8")
        return path

    return at


def problems(path: Path) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return caught.value.problems


def test_no_configuration_at_all_gives_a_desk_on_loopback(tmp_path: Path) -> None:
    config = load(None, state=tmp_path / "state")
    policy = config.policy
    assert (policy.host, policy.key, policy.reply_domain) == (
        "mailwicket.localhost", "MW", "reply.mailwicket.localhost",
    )
    assert policy.queues[0].address == "support@mailwicket.localhost"
    assert {a.login for a in policy.agents} == {"anna", "bert"} == set(policy.queues[0].agents)
    assert policy.relays[0].authenticates == ("mailwicket.localhost",)
    assert config.listen.smtp == Endpoint(host="127.0.0.1", port=2525)
    assert config.send.maildir == tmp_path / "state" / "outgoing"
    assert policy.budgets == Budgets()
    assert [w.key for w in config.warnings] == ["send.smarthost"]


def test_state_of_the_desk_for_trying_lies_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(None).state == tmp_path / "mailwicket-state"


def test_a_file_is_read_and_its_paths_start_at_the_file(write: Any, tmp_path: Path) -> None:
    config = load(write(GOOD))
    assert config.state == tmp_path / "state"
    assert config.policy.queues[0].from_name == "Support"
    assert config.policy.queues[0].agents == ("anna",)
    assert config.policy.agents[0].name == "Anna"
    assert config.policy.relays[0].networks == ("192.0.2.7/32",)


def test_light_agents_are_not_told_of_new_tickets_unless_named(write: Any) -> None:
    config = load(write(GOOD + '[[agent]]\nlogin = "lea"\naddress = "lea@acme.example"\nrole = "light"\n'))
    assert config.policy.queues[0].agents == ("anna",)


def test_all_problems_are_told_at_once_with_line_and_remedy(write: Any) -> None:
    found = problems(write(
        '[mailwicket]\nhost = 7\nkey = "abc"\nreplydomain = "r.acme.example"\n'
        '[listen]\nsmtp = "::1:25"\nmax_size = "10"\n'
        '[[queue]]\nname = "support"\nadress = "support@acme.example"\n'
        '[[agent]]\nlogin = "Anna"\naddress = ["anna@acme.example", "Bert <bert@acme.example>"]\n'
        '[sned]\nsmarthost = "x:1"\n'
    ))
    told = {p.key: (p.file.rpartition(":")[2], p.remedy) for p in found}
    for key, line, word in (
        ("mailwicket.host", "2", "quotes"),
        ("mailwicket.key", "3", '"ABC"'),
        ("mailwicket.replydomain", "4", 'did you mean "reply_domain"'),
        ("mailwicket.reply_domain", "1", "is required"),
        ("listen.smtp", "6", '"[::1]:25"'),
        ("listen.max_size", "7", "64KiB"),
        ("queue[0].adress", "10", 'did you mean "address"'),
        ("queue[0].address", "8", "is required"),
        ("agent[0].login", "12", "a-z"),
        ("agent[0].address", "13", "bare address"),
        ("sned", "14", 'did you mean "send"'),
    ):
        assert told[key][0] == line, key
        assert word in told[key][1], key
    assert len(found) == 11


ADDITIONS = (
    # what is appended to GOOD, the key that is told, a word of the remedy
    ('[[queue]]\nname = "sales"\naddress = "SUPPORT@acme.example"', "queue[1].address", "queue[0].address"),
    ('[[queue]]\nname = "support"\naddress = "s@acme.example"', "queue[1].name", "queue[0].name"),
    ('[[agent]]\nlogin = "bert"\naddress = "support@acme.example"', "agent[1].address", "one owner"),
    ('[[agent]]\nlogin = "bert"\naddress = "anna@acme.example"', "agent[1].address", "one owner"),
    ('[[agent]]\nlogin = "anna"\naddress = "a2@acme.example"', "agent[1].login", "agent[0].login"),
    ('[[agent]]\naddress = "a2@acme.example"', "agent[1].login", "required"),
    ('[[agent]]\nlogin = "bert"\naddress = []', "agent[1].address", "at least one"),
    ('[[agent]]\nlogin = "bert"\naddress = "b@reply.acme.example"', "agent[1].address", "reply_domain"),
    ('[[queue]]\nname = "x"\naddress = "x@acme.example"\nagents = ["ana"]', "queue[1].agents", '"anna"'),
    ('[[relay]]\nname = "any"\nnetworks = ["0.0.0.0/0"]\nauthenticates = ["acme.example"]',
     "relay[1].networks", "anybody"),
    ('[[relay]]\nname = "mx2"\nnetworks = ["10.0.0.7/24"]', "relay[1].networks", '"10.0.0.0/24"'),
    ('[listen]\ntls_certificate = "mailwicket.toml"', "listen.tls_key", "needed too"),
    ('[listen]\ndoor = "x"', "listen.door", "known here"),
    ('[listen]\nlmtp = "127.0.0.1:2525"', "listen.lmtp", "another port"),
    ('[send]\nsmarthost = "h:25"\nmaildir = "out"', "send.maildir", "one of the two"),
    ('[send]\nsmarthost = "h:587"\nusername = "u"', "send.password_file", "needed too"),
    ('[send]\nsmarthost = "h:587"\ntls = "tls"', "send.tls", "starttls"),
    ('[send]\nsmarthost = "h:587"\nusername = "u"\npassword_file = "nowhere"', "send.password_file", "cannot be read"),
    ('[log]\nlevel = "trace"', "log.level", "known here"),
    ("[budgets]\nacks_per_address_hour = -1", "budgets.acks_per_address_hour", "whole number"),
    ("[budgets]\nacks_per_address_hour = true", "budgets.acks_per_address_hour", "whole number"),
    ('[relay]\nname = "x"', "syntax", "not TOML"),
    ('[[listen]]\nsmtp = "off"', "listen", "[listen]"),
    ('[log]\nstate = "x"', "log.state", "[mailwicket]"),
)


@pytest.mark.parametrize(("addition", "key", "word"), ADDITIONS, ids=[a[1] + "-" + a[2] for a in ADDITIONS])
def test_each_contradiction_names_its_key_and_the_way_out(write: Any, addition: str, key: str, word: str) -> None:
    found = {p.key: p.remedy for p in problems(write(f"{GOOD}{addition}\n"))}
    assert list(found) == [key]
    assert word in found[key]


def test_a_file_that_is_not_there_names_init(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path / "mailwicket.toml")
    assert "mailwicket init" in problem.remedy


def test_a_desk_without_queue_or_agent_is_refused(write: Any) -> None:
    head = GOOD[: GOOD.index("[[relay]]")]
    assert {p.key for p in problems(write(head))} == {"queue", "agent"}


def test_agents_for_whom_nobody_vouches_are_a_warning_not_an_error(write: Any) -> None:
    config = load(write(GOOD.replace('authenticates = ["acme.example"]', "")))
    warning = next(w for w in config.warnings if w.key == "relay.authenticates")
    assert "held" in warning.remedy
    assert '"acme.example"' in warning.remedy
    assert not [w for w in load(write(GOOD)).warnings if w.key == "relay.authenticates"]


def with_password(write: Any, tmp_path: Path, mode: int) -> Path:
    (tmp_path / "password").write_text("s3cret-canary\nsecond line\n", "utf-8")
    (tmp_path / "password").chmod(mode)
    return write(f'{GOOD}[send]\nsmarthost = "h:587"\nusername = "u"\npassword_file = "password"\n')


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_password_file_that_others_may_read_is_refused(write: Any, tmp_path: Path, mode: int) -> None:
    (problem,) = problems(with_password(write, tmp_path, mode))
    assert problem.key == "send.password_file"
    assert "chmod 600" in problem.remedy


def test_the_password_is_read_and_stands_in_no_repr(write: Any, tmp_path: Path) -> None:
    config = load(with_password(write, tmp_path, 0o600))
    assert config.send.password() == "s3cret-canary"
    assert "canary" not in repr(config)


def test_credentials_of_systemd_are_trusted_though_group_readable(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert load(with_password(write, tmp_path, 0o640)).send.password() == "s3cret-canary"


@pytest.mark.parametrize("line", ['password = "s3cret-canary"', 'password = "s3cret-canary'])
def test_a_password_in_the_file_is_refused_without_repeating_it(write: Any, line: str) -> None:
    found = problems(write(f"{GOOD}[send]\n{line}\n"))
    assert found
    assert "canary" not in "".join(map(str, found))


def test_signing_keys_are_made_once_and_only_for_us(tmp_path: Path) -> None:
    first = keys(tmp_path / "state")
    assert keys(tmp_path / "state") == first
    assert first.current == "a"
    assert len(first.secrets[0][1]) == 32
    assert (tmp_path / "state" / "keys.json").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in (tmp_path / "state").iterdir()] == ["keys.json"]


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_signing_keys_that_others_may_read_are_refused(tmp_path: Path, mode: int) -> None:
    keys(tmp_path)
    (tmp_path / "keys.json").chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        load(None, state=tmp_path)


@pytest.mark.parametrize("text", [
    "", "{}", "[]", '{"current": "a", "secrets": {}}', '{"current": "b", "secrets": {"a": "%s"}}' % ("A" * 44),
    '{"current": "a", "secrets": {"a": "AAAA"}}', '{"current": "a", "secrets": {"a": "!"}}', "\xff",
])
def test_a_damaged_key_file_is_refused_and_never_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="backup"):
        load(None, state=tmp_path)
    assert path.read_text("utf-8") == text


def test_looking_writes_nothing(tmp_path: Path) -> None:
    load(None, state=tmp_path / "state", first_start=False)
    assert not (tmp_path / "state").exists()
    assert passing_keys(tmp_path / "state") != passing_keys(tmp_path / "state")


def test_an_unusable_state_directory_is_a_problem_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(ConfigError, match="choose another one"):
        load(None, state=tmp_path / "file" / "state")


def test_unix_sockets_and_closed_doors(write: Any, tmp_path: Path) -> None:
    config = load(write(f'{GOOD}[listen]\nsmtp = "off"\nlmtp = "./lmtp.sock"\n'))
    assert config.listen.smtp is None
    assert config.listen.lmtp == tmp_path / "lmtp.sock"


def test_relative_state_given_on_the_command_line_starts_at_the_working_directory(
    write: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load(write(GOOD), state=Path("s")).state == tmp_path / "elsewhere" / "s"


def test_every_setting_has_a_row_of_its_own_an_example_that_is_read_and_a_sentence() -> None:
    assert len({(s.section, s.key) for s in SETTINGS}) == len(SETTINGS)
    assert {s.section for s in SETTINGS} == {s.name for s in SECTIONS}
    for s in SETTINGS:
        assert s.kind.read(s.example) is not None, s.key
        assert s.meaning.endswith("."), s.key
        assert settings_table().count(f"`{s.key}`") >= 1


def test_budgets_of_the_table_are_those_of_the_policy() -> None:
    assert {s.key for s in SETTINGS if s.section == "budgets"} == set(Budgets.__dataclass_fields__)


JSONISH = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(data=st.data(), wrong=JSONISH)
def test_any_value_at_any_place_is_read_or_told_never_a_crash(data: st.DataObject, wrong: Any) -> None:
    document = json.loads(json.dumps(TRIAL))
    setting = data.draw(st.sampled_from(SETTINGS))
    table = document.setdefault(setting.section, {})
    (table[0] if isinstance(table, list) else table)[setting.key] = wrong
    found, told = read(document, file="f", base=Path("/"))
    where = [key for key in (p.key.rpartition(".")[2] for p in told)]
    row = found.rows[setting.section]
    apart = ("rule", "mailbox", "team", "organisation", "field", "macro")
    assert setting.section in apart or setting.key in where or setting.key in row[0]


@given(text=st.text(max_size=200))
def test_any_text_is_a_configuration_or_a_configerror(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / f"any-{os.getpid()}.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        config = load(path, state=path.with_suffix(".state"), first_start=False)
    except ConfigError as e:
        assert all(p.remedy for p in e.problems)
    else:
        assert isinstance(config, Config)


def test_a_rule_that_cannot_be_is_told_at_its_line(write: Any) -> None:
    found = problems(write(GOOD + '[[rule]]\nname = "r"\nwhen = "subject = (select 1)"\nthen = ["#frobnicate"]\n'))
    lines = GOOD.count("\n")
    assert [(p.key, p.file.rpartition(":")[2]) for p in found] == [
        ("[[rule]] r when", str(lines + 3)), ("[[rule]] r then", str(lines + 4)),
    ]


def test_a_rule_that_can_be_is_loaded(write: Any) -> None:
    config = load(write(
        f"{GOOD}[[rule]]\nname = \"invoices\"\nwhen = \"subject ilike '%invoice%'\"\nthen = [\"#priority high\"]\n"
    ))
    assert config.policy.rules[0].then == ("#priority high",)


def test_two_rules_of_one_name_are_told_once(write: Any) -> None:
    rule = "[[rule]]\nname = \"r\"\nwhen = \"subject = 'x'\"\nthen = [\"#priority high\"]\n"
    (problem,) = problems(write(GOOD + rule + rule))
    assert problem.key == "[[rule]] r name"


# --- People ---------------------------------------------------------------------------------

PEOPLE = GOOD + """\
[[queue]]
name = "billing"
address = "billing@acme.example"
agents = ["anna"]
[[agent]]
login = "lea"
address = "lea@acme.example"
role = "lead"
queues = ["support", "billing=light"]
[[agent]]
login = "tom"
address = "tom@acme.example"
queues = ["billing"]
[[team]]
name = "hw"
members = ["anna", "lea"]
[[organisation]]
name = "Cust Ltd"
domains = ["Cust.example"]
shared = true
"""


def test_roles_by_queue_teams_and_organisations_are_read(write: Any) -> None:
    policy = load(write(PEOPLE)).policy
    roles = {(a.login, q.name): policy.role(a.login, q.name) for a in policy.agents for q in policy.queues}
    assert roles == {
        ("anna", "support"): "agent", ("anna", "billing"): "agent", ("lea", "support"): "lead", ("lea", "billing"): "light",
        ("tom", "support"): None, ("tom", "billing"): "agent",
    }
    support, billing = policy.queues
    assert (support.agents, support.everybody) == (("anna", "lea"), True)
    assert (billing.agents, billing.everybody) == (("anna",), False)
    assert policy.teams[0].members == ("anna", "lea")
    assert policy.colleagues("ann@cust.example", "bob@cust.example")


@pytest.mark.parametrize(("text", "key", "remedy"), [
    ('[[agent]]\nlogin = "x"\naddress = "x@x.example"\nqueues = ["suport"]\n', "agent[1].queues", 'did you mean "support"'),
    ('[[agent]]\nlogin = "x"\naddress = "x@x.example"\nqueues = ["support=boss"]\n', "agent[1].queues", "light"),
    ('[[agent]]\nlogin = "x"\naddress = "x@x.example"\nqueues = ["support=admin"]\n', "agent[1].queues", "agent"),
    ('[[team]]\nname = "hw"\nmembers = ["ana"]\n', "team[0].members", 'did you mean "anna"'),
    ('[[team]]\nname = "hw"\nmembers = []\n[[team]]\nname = "hw"\nmembers = []\n', "team[1].name", "the same as team[0].name"),
    ('[[organisation]]\nname = "Us"\ndomains = ["gmail.com"]\n', "organisation[0].domains", "provider of everybody"),
    ('[[organisation]]\nname = "Us"\ndomains = []\n', "organisation[0].domains", "at least one"),
    ('[[organisation]]\nname = "A"\ndomains = ["a.example"]\n[[organisation]]\nname = "B"\ndomains = ["A.example"]\n',
     "organisation[1].domains", "already stands in organisation[0].domains"),
])
def test_a_mistake_about_people_is_told_with_its_remedy(write: Any, text: str, key: str, remedy: str) -> None:
    told = {p.key: p.remedy for p in problems(write(GOOD + text))}
    assert remedy in told[key]
