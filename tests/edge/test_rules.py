"""Rules: what may stand in one, what is refused and with which remedy, and what they hit."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from gateway.core.policy import Rule
from gateway.core.rows import MailFacts
from gateway.edge import rules
from gateway.edge.rules import COLUMNS, RELATION, RuleBook, check
from gateway.errors import ConfigError

MAIL = MailFacts(
    spool_id="s", message=None, received_at=datetime(2026, 11, 23, 19, 30, tzinfo=UTC), sender="ann@cust.example",
    domain="cust.example", subject="Invoice 7 is wrong", queue="support", mail_class="human", level=1, agent=False,
    signal="none", ticket=None, status=None, priority=None, attachments=0, size=4096, rules="",
)


def rule(when: str, name: str = "r", then: tuple[str, ...] = ("#priority high",), **more: bool) -> Rule:
    return Rule(name=name, when=when, then=then, **more)


def why_not(when: str) -> str:
    return "; ".join(p.remedy for p in check((rule(when),), "mailwicket.toml"))


def hits(when: str, mail: MailFacts = MAIL, text: str = "please refund me") -> bool:
    return RuleBook((rule(when),)).hits([mail], [text]) == [("r",)]


class TestPredicates:
    @pytest.mark.parametrize(("when", "hit"), [
        ("queue = 'support' and subject ilike '%invoice%'", True), ("subject like '%invoice%'", False),
        ("text ~ '\\brefund\\b'", True), ("regexp_matches(subject, 'invoice \\d', 'i')", True),
        ("domain in ('cust.example', 'x.example')", True), ("not agent", True), ("level between 2 and 4", False),
        ("ticket is null", True), ("status = 'solved'", False), ("coalesce(status, 'none') = 'none'", True),
        ("extract(hour from received_at) >= 18", True), ("dayofweek(received_at) = 1", True),
        ("length(text) > 3 and size < 1e6", True), ("case when attachments > 0 then true else false end", False),
        ("mail.sender = 'ann@cust.example'", True), ("level::varchar = '1'", True), ("true -- always", True),
        ("received_at > timestamp '2026-11-23 19:00'", True), ("contains(lower(subject), 'wrong')", True),
    ])
    def test_a_predicate_hits_what_it_says(self, when: str, hit: bool) -> None:
        assert hits(when) is hit

    @pytest.mark.parametrize("when", ["subject::integer > 3", "size // 0 = 1", "status = 'x' and null"])
    def test_a_predicate_that_fails_or_is_null_does_not_hit(self, when: str) -> None:
        assert hits(when) is False

    def test_a_failing_predicate_spares_other_rows_and_rules(self) -> None:
        book = RuleBook((rule("subject::integer = 3", "number"), rule("true", "all")))
        mails = [MAIL, replace(MAIL, subject="3"), replace(MAIL, subject="4")]
        assert book.hits(mails, [""] * 3) == [("all",), ("number", "all"), ("all",)]
        assert book.failed == {}

    def test_hits_come_in_file_order_and_batches_do_not_mix(self) -> None:
        book = RuleBook((rule("level = 1", "b"), rule("queue = 'support'", "a"), rule("true", "off", enabled=False)))
        many = [replace(MAIL, level=n % 2, queue="x" if n % 3 else "support") for n in range(50)]
        expected = [tuple(n for n, hit in (("b", m.level == 1), ("a", m.queue == "support")) if hit) for m in many]
        assert book.hits(many, [""] * 50) == expected
        assert book.hits([MAIL], [""]) == [("b", "a")]
        assert book.hits([], []) == []

    def test_text_is_data_whatever_it_says(self) -> None:
        hostile = "'; DROP TABLE mail; --"
        assert hits("text = '''; DROP TABLE mail; --' and subject = text", replace(MAIL, subject=hostile), hostile)

    def test_no_rules_open_no_database(self) -> None:
        book = RuleBook(())
        assert book.hits([MAIL] * 2, ["", ""]) == [(), ()]
        assert RuleBook((rule("true", enabled=False),)).hits([MAIL], [""]) == [()]

    def test_only_the_first_part_of_a_huge_text_is_read(self) -> None:
        text = "a" * (rules.TEXT_LIMIT + 10) + "needle"
        assert hits("contains(text, 'needle')", text=text) is False
        assert hits(f"length(text) = {rules.TEXT_LIMIT}", text=text) is True


class TestRefusals:
    @pytest.mark.parametrize("when", [
        "", ";", "true; drop table mail", "true; attach 'x.db'", "true union select true", "true) from mail --",
        "true) , (true", "true limit 1", "true as x", "true where false", "from mail", "select true", "(select true)",
        "subject in (select 'a')", "exists (select 1)", "subject = any(['a'])", "count(*) > 1", "sum(level) > 1",
        "max(subject) = 'a'", "row_number() over () = 1", "lag(level) over (order by level) = 1",
        "list_filter([1], x -> x > 1) = [1]", "list_filter([1], lambda x: x > 1) = [1]", "*", "columns('a')", "mail.*",
        "unnest([true])", "?", "$1", "$name", "read_csv('/etc/passwd') is null", "sniff_csv('x') is null",
        "glob('*') is null", "read_text('/etc/passwd') = ''", "getenv('HOME') = 'x'",
        "current_setting('memory_limit') = 'x'", "nextval('s') = 1", "random() > 0.5", "now() > received_at",
        "current_date > '2026-01-01'", "length(repeat('a', 1000000000)) > 1", "lpad('a', 1000000000, 'b') = ''",
        "rpad(text, 1000000000, 'b') = ''", "len(range(1000000000)) > 1", "text || text = 'a'",
        "replace(text, 'a', text) = ''", "[text, text] is null", "{'a': 1} is null", "text[1] = 'a'", "text[1:2] = 'a'",
        "subject::json is null", "subject::enum('a') is null", "subject collate nocase = 'a'", "try(agent)",
        "main.lower(subject) = 'a'", "system.main.lower(subject) = 'a'", "lower(distinct subject) = 'a'",
        "query('select 1') = 1", "duckdb_settings() is null", "getvariable('x') = 1", "version() = 'x'",
        "set x = 1", "copy mail to 'x'", "install httpfs", "load json", "pragma version", "attach 'x'",
        "ordinal = 1", "rowid = 1", "mail is null", "memory.main.mail.subject = 'a'",
        "level", "subject", "received_at", "'true'", "1", "null + 1",
        "level = 'abc' = subject", "agent > interval 1 day", "tru\0e", "true /*", "('",
        "not " * 100 + "agent", "(" * 3_000 + "true" + ")" * 900, "subject = '" + "a" * 5_000 + "'",
        "+".join(["level"] * 200) + " > 1",
    ])
    def test_everything_but_a_plain_predicate_is_refused_with_a_remedy(self, when: str) -> None:
        """Input 39 of the hostile list and ruling 9."""
        with pytest.raises(ConfigError) as refused:
            RuleBook((rule(when),))
        assert [len(problem.remedy) > 20 for problem in refused.value.problems] == [True]

    @pytest.mark.parametrize(("when", "hint"), [
        ("subjct = 'a'", "did you mean subject"), ('sender = "ann"', "single quotes"), ("lenght(text) > 3", "length"),
        ("level", "compare it with a value"), ("(select true)", "write the values out"), ("*", "name the columns"),
        ("$1 = 'a'", "write the value itself"), ("zzz = 1", "there are sender"),
    ])
    def test_the_remedy_fits_the_trouble(self, when: str, hint: str) -> None:
        assert hint in why_not(when)

    def test_every_problem_is_told_at_once_with_its_place(self) -> None:
        book = (
            rule("subjct = 'a'", "one"), rule("true", "one"), rule("true", "two words"), rule("true", "none", then=()),
            rule("true", "bad", then=("#sovled", "hello")), rule("nope", "off", enabled=False),
            rule("true", "fine", then=(), stop=True),
        )
        found = [(p.file, p.key, p.value) for p in check(book, "desk.toml")]
        assert found == [
            ("desk.toml", "[[rule]] one when", "subjct = 'a'"), ("desk.toml", "[[rule]] one name", "one"),
            ("desk.toml", "[[rule]] two words name", "'two words'"), ("desk.toml", "[[rule]] none then", "[]"),
            ("desk.toml", "[[rule]] bad then", "#sovled"), ("desk.toml", "[[rule]] bad then", "hello"),
            ("desk.toml", "[[rule]] off when", "nope"),
        ]


class TestConnection:
    @pytest.mark.parametrize("sql", [
        "SELECT * FROM read_csv('{file}')", "SELECT * FROM read_text('{file}')", "SELECT * FROM glob('{file}')",
        "SELECT * FROM '{file}'", "ATTACH '{file}.db'", "COPY mail TO '{file}.out'", "INSTALL httpfs", "LOAD httpfs",
        "SET enable_external_access = true", "SET lock_configuration = false", "SET memory_limit = '9GB'",
        "EXPORT DATABASE '{file}.d'", "SELECT * FROM sniff_csv('{file}')",
    ])
    def test_even_sql_that_passed_the_check_could_not_reach_out(self, sql: str, tmp_path: Path) -> None:
        """The second wall: external access off, configuration locked."""
        file = tmp_path / "secret.csv"
        file.write_text("a,b\n1,2\n")
        connection = rules._connect()
        with pytest.raises(duckdb.Error):
            connection.execute(sql.format(file=file))
        assert list(tmp_path.iterdir()) == [file]

    def test_python_values_around_it_are_out_of_reach(self) -> None:
        secret = [1]
        with pytest.raises(duckdb.Error):
            rules._connect().execute("SELECT * FROM secret")
        assert secret == [1]


class TestRelation:
    def test_every_example_is_a_valid_rule(self) -> None:
        assert check(tuple(rule(c.example, c.name) for c in RELATION), "f") == []

    def test_columns_are_those_of_the_stored_facts_and_the_text(self) -> None:
        """What rules read is what is stored (decision 6); ids of our own rows and the outcome are no facts to them."""
        stored = set(MailFacts.__dataclass_fields__) - {"spool_id", "message", "rules"}
        assert set(COLUMNS) == stored | {"text"}

    def test_the_documentation_names_every_column(self) -> None:
        assert all(f"| `{c.name}` | {c.type} | {c.means} |" in rules.documentation() for c in RELATION)
