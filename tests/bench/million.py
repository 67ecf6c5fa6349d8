"""A store with a long past, written by SQL: a million tickets take some 200 seconds of CPU.

The files are made by the gateway's own Store from its schema; then every table is filled set-wise from
the scripts in lives.py. SPAN of tickets, evenly spread, for one queue with ten agents; customers have
five tickets each. Same number, end and seed: same rows.

What is thinner than in life, since no decision reads it: texts are some 200 characters (not 4 KiB), old
mail has no raw bytes, ``processed.h`` is true for the last eight days only, and events without a mail of their own
name a spool id that nothing else has.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import tempfile
import time
from array import array
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from gateway.edge.migrate import SCHEMA
from gateway.edge.store import Store
from gateway.edge.tables import Cursor, digest, naive
from tests.bench import lives
from tests.bench.mix import _WORDS, Thread
from tests.bench.site import AGENTS

SPAN = timedelta(days=730)
SEQ = 1_000_000     # the frame that wrote it all, as it were


def ready(cache: Path | None, root: Path, tickets: int) -> tuple[Path, str]:
    """The state directory of a generated store, from ``cache`` if it has one; and how it was come by."""
    if cache is None:
        state = root / f"generated-{tickets}"
        return state, generate(state, tickets)
    parts = [p.read_bytes() for p in sorted([*SCHEMA.rglob("*.sql"), Path(__file__), Path(lives.__file__)])]
    state = cache / f"{tickets}-{hashlib.sha256(b''.join(parts)).hexdigest()[:12]}"
    if state.exists():
        return state, f"from {cache}"
    for old in cache.glob(f"{tickets}-*"):
        shutil.rmtree(old)      # of another schema
    cache.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=cache)) / "state"
    told = generate(fresh, tickets)
    fresh.replace(state)
    fresh.parent.rmdir()
    return state, told


def generate(state: Path, tickets: int, *, end: datetime | None = None, seed: int = 1) -> str:
    """Make the store; says how long it took and how large it is."""
    begun = time.time()
    end = end or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    store = Store.open(state, memory_limit="6GB")
    cursor = store.reader()
    cursor.execute("SET threads = 2")
    try:
        with tempfile.TemporaryDirectory() as scratch:
            _plan(cursor, tickets, end, seed)
            _digests(cursor, Path(scratch))
            with _without_indexes(cursor):
                for name, select in MAIN.items():
                    cursor.execute(f"INSERT INTO {name} {select}")
            months = [m for (m,) in cursor.execute("SELECT DISTINCT month FROM mail ORDER BY 1").fetchall()]
            for month in months:
                schema = store.files.attach(month)
                for name, select in MONTHLY.items():
                    cursor.execute(f"INSERT INTO {schema}.{name} {select}", [month])
                cursor.execute(f"UPDATE {schema}.meta SET number = $1 WHERE name = 'applied_seq'", [SEQ])
            cursor.execute("UPDATE meta SET number = $1 WHERE name = 'applied_seq'", [SEQ])
            cursor.executemany("INSERT INTO meta VALUES ($1, $2)", [[f"mail-{m}", SEQ] for m in months])
            events = cursor.execute("SELECT count(*) FROM event").fetchone()
        store.checkpoint()
    finally:
        cursor.close()
        store.close()
    size = sum(p.stat().st_size for p in state.rglob("*") if p.is_file()) / 1e9
    return f"{tickets:,} tickets, {events[0]:,} events, {size:.2f} GB, made in {time.time() - begun:.0f} s"


def threads(state: Path, count: int, seed: int = 1) -> list[Thread]:
    """First mails that may be answered: of tickets of the newest tenth that are not closed."""
    store = Store.open(state, read_only=True)
    try:
        rows = store.reader().execute(
            "SELECT p.address, i.rfc_id, x.subject FROM ticket t JOIN ticket_text x ON x.ticket = t.id"
            ' JOIN person p ON p.id = t.requester JOIN message m ON m.ticket = t.id AND m."at" = t.created_at'
            " JOIN mail_id i ON i.message = m.id AND i.role = 'self'"
            " WHERE t.status <> 'closed' AND t.id > (SELECT max(id) * 0.9 FROM ticket) ORDER BY t.id"
        ).fetchall()
    finally:
        store.close()
    found = [Thread(sender, f"<{rfc_id}>", subject) for sender, rfc_id, subject in rows]
    return random.Random(seed).sample(found, min(count, len(found)))


# --- The past, in memory --------------------------------------------------------------------


def _plan(cursor: Cursor, tickets: int, end: datetime, seed: int) -> None:
    """Temporary tables: life (a ticket), past (an event), mail (a stored message), post (a mail of ours)."""
    dice = random.Random(seed)
    cursor.execute("CREATE TEMP TABLE step (script INTEGER, n INTEGER, hours DOUBLE, kind VARCHAR, who VARCHAR, mail BOOLEAN,"
                   " is_public BOOLEAN, is_auto BOOLEAN, before VARCHAR, after VARCHAR)")
    cursor.executemany("INSERT INTO step VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", [
        [script, n, *astuple(step)] for script, (_, steps) in enumerate(lives.SCRIPTS) for n, step in enumerate(steps)
    ])
    cursor.execute("CREATE TEMP TABLE ending (script INTEGER, version INTEGER, status VARCHAR, priority VARCHAR, tags VARCHAR,"
                   " assigned BOOLEAN, answered BOOLEAN, updated DOUBLE, first_reply DOUBLE, solved DOUBLE,"
                   " last_customer DOUBLE, last_agent DOUBLE, last_public INTEGER)")
    cursor.executemany("INSERT INTO ending VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
                       [[*astuple(e)] for e in lives.endings()])
    cursor.execute("CREATE TEMP TABLE sentence AS SELECT unnest($1::VARCHAR[]) AS words, unnest(range(500)) AS n",
                   [[" ".join(dice.choices(_WORDS, k=12)).capitalize() + "." for _ in range(500)]])
    cursor.execute("CREATE TEMP TABLE why AS SELECT unnest(range(4)) AS ordinal,"
                   " unnest(['class', 'identity', 'thread', 'applied']) AS code, unnest(['human: no sign of a machine (row 16)',"
                   " 'level 0: relay loopback does not vouch for it', 'none: nothing names a ticket', 'joined']) AS detail")
    for statement in PAST:
        cursor.execute(statement.format(
            tickets=tickets, customers=max(1, tickets // 5), agents=AGENTS, seed=seed, end=naive(end).isoformat(" "),
            begin=naive(end - SPAN).isoformat(" "), span=int(SPAN.total_seconds() * 1_000_000),
            scripts=[n for n, (share, _) in enumerate(lives.SCRIPTS) for _ in range(share)],
        ))


# A ULID as edge/spool.py writes it: ten digits of milliseconds; digits are good for its random half.
_ULID = " || ".join(f"substr('0123456789ABCDEFGHJKMNPQRSTVWXYZ', 1 + ((epoch_us(t) // 1000) >> {5 * k} & 31)::INTEGER, 1)" for k in range(9, -1, -1))
PAST = (
    f"CREATE TEMP MACRO ulid(t, n) AS {_ULID} || lpad(n::VARCHAR, 16, '0')",
    "CREATE TEMP MACRO after(t, hours, pace) AS t + to_microseconds((hours * pace * 3600000000)::BIGINT)",
    """CREATE TEMP TABLE life AS SELECT id,
    {agents} + 1 + (hash(id, {seed}, 'customer') % {customers})::BIGINT AS customer,
    1 + (hash(id, {seed}, 'agent') % {agents})::BIGINT AS agent,
    0.3 + (hash(id, {seed}, 'pace') % 1400) / 1000 AS pace,
    TIMESTAMP '{begin}' + to_microseconds(({span} / {tickets} * (id - 1))::BIGINT) AS born,
    ({scripts})[1 + (hash(id, {seed}, 'script') % 20)::INTEGER] AS script
    FROM range(1, {tickets} + 1) r(id)""",
    """CREATE TEMP TABLE person_of AS SELECT id,
    CASE WHEN id <= {agents} THEN 'a' || id || '@acme.example' ELSE 'p' || id || '@k' || id // 10 || '.example' END AS address,
    CASE WHEN id <= {agents} THEN 'A' || id ELSE 'Customer p' || id END AS name
    FROM range(1, {agents} + {customers} + 1) r(id)""",
    """CREATE TEMP TABLE past AS
    SELECT *, row_number() OVER w AS seq, sum(mail::BIGINT) OVER (w ROWS UNBOUNDED PRECEDING)::BIGINT AS mails FROM (
      SELECT l.id AS ticket, l.customer, l.agent, s.n, s.kind, s.who, s.mail, s.is_public, s.is_auto, s.before,
        CASE WHEN s.after = 'agent' THEN l.agent::VARCHAR ELSE s.after END AS after, after(l.born, s.hours, l.pace) AS moment
      FROM life l JOIN step s USING (script)
    ) WHERE moment <= TIMESTAMP '{end}' WINDOW w AS (ORDER BY moment, ticket, n) ORDER BY seq""",
    """CREATE TEMP TABLE mail AS SELECT mails AS id, ticket, n, kind, who, is_public, moment, strftime(moment, '%Y-%m') AS month,
    ulid(moment, mails) AS spool_id, customer, agent, CASE who WHEN 'agent' THEN agent ELSE customer END AS author,
    'm' || mails || '@mua.example' AS rfc_id, 2000 + (hash(mails) % 20000)::BIGINT AS size
    FROM past WHERE mail ORDER BY mails""",
    "CREATE TEMP TABLE first AS SELECT ticket, id AS message, rfc_id FROM mail WHERE n = 0",
    # Customers' mail is told to the agent, its first one acknowledged; an agent's answer goes to the customer.
    """CREATE TEMP TABLE post AS SELECT row_number() OVER (ORDER BY message, kind) AS id, * FROM (
      SELECT id AS message, ticket, moment + INTERVAL 300 MILLISECOND AS moment, month, 'notice' AS kind, agent AS recipient FROM mail WHERE who = 'customer'
      UNION ALL SELECT id, ticket, moment + INTERVAL 300 MILLISECOND, month, 'ack', customer FROM mail WHERE n = 0
      UNION ALL SELECT id, ticket, moment + INTERVAL 300 MILLISECOND, month, 'reply', customer FROM mail WHERE kind = 'agent_reply'
    ) ORDER BY id""",
    """CREATE TEMP TABLE recent AS SELECT id, sha256('key' || id) AS key FROM mail WHERE moment >= TIMESTAMP '{end}' - INTERVAL 8 DAY""",
)


def _digests(cursor: Cursor, scratch: Path) -> None:
    """Temporary tables hash_mail, hash_person, hash_key: the hashes that look-ups go by, which DuckDB does not have."""
    sources = {
        "mail": "SELECT id, rfc_id FROM mail ORDER BY id", "person": "SELECT id, address FROM person_of ORDER BY id",
        "key": "SELECT id, key FROM recent ORDER BY id",
    }
    for name, select in sources.items():
        file = scratch / f"{name}.parquet"
        cursor.execute(select)
        ids, hashes = array("q"), array("Q")
        while rows := cursor.fetchmany(50_000):
            ids.extend(row[0] for row in rows)
            hashes.extend(digest(row[1]) for row in rows)
        pl.DataFrame({"id": pl.Series(ids, dtype=pl.Int64), "h": pl.Series(hashes, dtype=pl.UInt64)}).write_parquet(file)
        cursor.execute(f"CREATE TEMP TABLE hash_{name} AS SELECT id, h FROM read_parquet('{file}')")


class _without_indexes:  # noqa: N801  # read as a statement
    """Indexes are made after the rows, in one go; their statements are the schema's own."""

    def __init__(self, cursor: Cursor) -> None:
        self.cursor = cursor
        self._statements = cursor.execute(
            "SELECT index_name, sql FROM duckdb_indexes() WHERE database_name = 'mailwicket' AND sql IS NOT NULL"
        ).fetchall()

    def __enter__(self) -> None:
        for name, _ in self._statements:
            self.cursor.execute(f"DROP INDEX {name}")

    def __exit__(self, *_: object) -> None:
        for _, sql in self._statements:
            self.cursor.execute(sql)


# --- Table by table, columns in the order of the schema -------------------------------------

_WRITTEN = "moment + INTERVAL 300 MILLISECOND"
MAIN = {
    "person": "SELECT p.id, address, name, (SELECT min(moment) FROM past), h FROM person_of p JOIN hash_person USING (id) ORDER BY p.id",
    "ticket": """SELECT l.id, 'support', e.status, e.priority, CASE WHEN e.assigned THEN l.agent END, l.customer, e.tags, l.born,
        after(l.born, e.updated, l.pace), after(l.born, e.first_reply, l.pace), after(l.born, e.solved, l.pace),
        after(l.born, e.last_customer, l.pace), after(l.born, e.last_agent, l.pace), CASE WHEN e.answered THEN l.agent END,
        m.id, NULL, e.version, NULL, NULL, NULL, 0, NULL, NULL
        FROM life l JOIN (SELECT ticket, count(*) AS version FROM past GROUP BY ticket) v ON v.ticket = l.id
        JOIN ending e ON e.script = l.script AND e.version = v.version
        LEFT JOIN mail m ON m.ticket = l.id AND m.n = e.last_public ORDER BY l.id""",
    "ticket_text": "SELECT id, words FROM life JOIN sentence ON n = hash(id, 'subject') % 500",
    "participant": "SELECT id, customer, 'requester', born FROM life",
    "message": """SELECT id, ticket, spool_id, author, moment, 'human', CASE who WHEN 'agent' THEN 3 ELSE 0 END, 'apply', is_public, NULL,
        month, size, sha256('raw' || id), sha256('body' || id) FROM mail""",
    "mail_id": """SELECT rfc_id, id, ticket, role, author, h FROM (
        SELECT m.rfc_id, m.id, m.ticket, 'self' AS role, m.author, h.h FROM mail m JOIN hash_mail h USING (id)
        UNION ALL SELECT f.rfc_id, m.id, m.ticket, 'reference', m.author, h.h FROM mail m JOIN first f USING (ticket)
          JOIN hash_mail h ON h.id = f.message WHERE m.n > 0
        ) ORDER BY id, role DESC""",
    "addressee": "SELECT id, ticket, 'boss' || customer || '@k' || customer // 10 || '.example' FROM mail WHERE n = 0 AND ticket % 10 = 0",
    "mail_facts": """SELECT spool_id, m.id, moment, p.address, split_part(p.address, '@', 2), words, 'support', 'human',
        CASE who WHEN 'agent' THEN 3 ELSE 0 END, who = 'agent', CASE m.n WHEN 0 THEN 'none' ELSE 'reference' END,
        ticket, CASE WHEN m.n > 0 THEN 'open' END, CASE WHEN m.n > 0 THEN 'normal' END, 0, size, ''
        FROM mail m JOIN person_of p ON p.id = m.author JOIN sentence s ON s.n = hash(ticket, 'subject') % 500""",
    "decision": "SELECT spool_id, ordinal, ticket, code, detail FROM mail, why",
    "event": f"""SELECT seq, ticket, moment, {_WRITTEN}, kind, who, CASE who WHEN 'agent' THEN agent WHEN 'customer' THEN customer END,
        CASE WHEN mail THEN ulid(moment, mails) WHEN who = 'system' THEN 'timer' ELSE ulid(moment, seq) END,
        CASE WHEN mail THEN mails END, is_public, is_auto, before, after FROM past""",
    "outbox": """SELECT o.id, kind, ticket, message, recipient, 'o' || o.id || '@desk.acme.example', address, sha256('out' || o.id),
        1000 + (hash(o.id) % 9000)::BIGINT, moment, month FROM post o JOIN person_of p ON p.id = o.recipient""",
    "delivery": "SELECT id, 'sent', 1, moment + INTERVAL 30 MINUTE, moment + INTERVAL 1 SECOND, '250 2.0.0 Ok', NULL FROM post",
    "processed": f"""SELECT spool_id, sha256('key' || m.id), 'apply', m.id, {_WRITTEN}, coalesce(h, hash(m.id))
        FROM mail m LEFT JOIN hash_key USING (id)""",
}
MONTHLY = {
    "message_text": """SELECT m.id, s.words, p.name, p.address, a.words || ' ' || b.words, a.words || ' ' || b.words || ' ' || c.words, ''
        FROM mail m JOIN person_of p ON p.id = m.author JOIN sentence s ON s.n = hash(m.ticket, 'subject') % 500
        JOIN sentence a ON a.n = hash(m.id, 1) % 500 JOIN sentence b ON b.n = hash(m.id, 2) % 500
        JOIN sentence c ON c.n = hash(m.id, 3) % 500 WHERE month = $1""",
    "outbox_text": """SELECT o.id, 'support@acme.example', '[["Subject", "Re: [ABC-' || ticket || '] ' || s.words || '"]]', a.words || ' ' || b.words,
        '', '[]', '' FROM post o JOIN sentence s ON s.n = hash(o.ticket, 'subject') % 500
        JOIN sentence a ON a.n = hash(o.id, 1) % 500 JOIN sentence b ON b.n = hash(o.id, 2) % 500 WHERE month = $1""",
}
