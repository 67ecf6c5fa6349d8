-- The main file: what the desk knows, without raw mail and text (those are in mail/, a file a month).
-- Columns are the fields of the class of the same name in gateway/core/model.py, in its order; what
-- stands below the empty line in a table exists only here. Times are UTC without zone.
--
-- There are no foreign keys: DuckDB refuses most ALTERs on a referenced table, and updates of its
-- unique columns. `h` columns are the first 8 bytes of BLAKE2b of a text: a text index costs ten times
-- the memory of a number's. Only tables that are asked by key from every part of history have an index.

CREATE TABLE meta (
    name VARCHAR NOT NULL,
    number BIGINT NOT NULL
);
COMMENT ON TABLE meta IS 'applied_seq: last journal frame in this file. mail-YYYY-MM: last frame that wrote into that mail file.';
INSERT INTO meta VALUES ('applied_seq', 0);

CREATE TABLE event (
    seq BIGINT NOT NULL,
    ticket BIGINT NOT NULL,
    "at" TIMESTAMP NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    kind VARCHAR NOT NULL,
    actor_kind VARCHAR NOT NULL,
    actor BIGINT,
    cause VARCHAR NOT NULL,
    message BIGINT,
    is_public BOOLEAN NOT NULL,
    is_auto BOOLEAN NOT NULL,
    before VARCHAR,
    after VARCHAR
);
COMMENT ON TABLE event IS 'Append-only truth: ids, enumerations, numbers and times only. Every ticket is the fold of its events.';
COMMENT ON COLUMN event.at IS 'When it happened; recorded_at is when we wrote it down.';
COMMENT ON COLUMN event.actor IS 'Person id.';
COMMENT ON COLUMN event.cause IS 'Spool id, timer, operator:<uid> or rule:<name>.';

CREATE TABLE ticket (
    id BIGINT PRIMARY KEY,
    queue VARCHAR NOT NULL,
    status VARCHAR NOT NULL,
    priority VARCHAR NOT NULL,
    assignee BIGINT,
    requester BIGINT,
    tags VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,
    updated_at TIMESTAMP NOT NULL,
    first_reply_at TIMESTAMP,
    solved_at TIMESTAMP,
    last_customer_at TIMESTAMP,
    last_agent_at TIMESTAMP,
    last_agent BIGINT,
    last_public BIGINT,
    merged_into BIGINT,
    version BIGINT NOT NULL
);
COMMENT ON TABLE ticket IS 'The fold of a ticket''s events, kept so that nobody has to fold. Its subject is in ticket_text.';
COMMENT ON COLUMN ticket.assignee IS 'Person id, as requester and last_agent are.';
COMMENT ON COLUMN ticket.tags IS 'Sorted, separated by one space.';
COMMENT ON COLUMN ticket.last_public IS 'Id of the last public message.';
COMMENT ON COLUMN ticket.version IS 'Number of events folded.';

CREATE TABLE ticket_text (
    ticket BIGINT NOT NULL,
    subject VARCHAR NOT NULL
);
COMMENT ON TABLE ticket_text IS 'Side table (personal text, overwritten by erasure): the subject of a ticket.';

CREATE TABLE person (
    id BIGINT NOT NULL,
    address VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    created_at TIMESTAMP NOT NULL,

    h UBIGINT NOT NULL
);
CREATE INDEX person_h ON person (h);
COMMENT ON TABLE person IS 'Side table: everybody who ever wrote or was written to, by canonical address.';
COMMENT ON COLUMN person.h IS 'Hash of address.';

CREATE TABLE participant (
    ticket BIGINT NOT NULL,
    person BIGINT NOT NULL,
    role VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL
);
CREATE INDEX participant_ticket ON participant (ticket);
COMMENT ON TABLE participant IS 'Who may follow a ticket. A holder wrote with somebody else''s reply address.';

CREATE TABLE message (
    id BIGINT NOT NULL,
    ticket BIGINT,
    spool_id VARCHAR NOT NULL,
    author BIGINT,
    "at" TIMESTAMP NOT NULL,
    mail_class VARCHAR NOT NULL,
    level TINYINT NOT NULL,
    disposition VARCHAR NOT NULL,
    is_public BOOLEAN NOT NULL,
    hold VARCHAR,
    month VARCHAR NOT NULL,
    size BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    body_key VARCHAR NOT NULL
);
CREATE INDEX message_ticket ON message (ticket);
COMMENT ON TABLE message IS 'One stored mail. Its text and raw bytes are in the mail file of its month.';
COMMENT ON COLUMN message.ticket IS 'NULL: stored without a ticket (log, held).';
COMMENT ON COLUMN message.hold IS 'Why it is held; NULL once released.';
COMMENT ON COLUMN message.body_key IS 'Hash of text and attachments, the same for two copies of one mail.';

CREATE TABLE attachment (
    message BIGINT NOT NULL,
    ordinal INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    content_type VARCHAR NOT NULL,
    size BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    "start" BIGINT NOT NULL,
    "end" BIGINT NOT NULL,
    encoding VARCHAR NOT NULL,
    clean BOOLEAN NOT NULL,
    content_id VARCHAR,
    inline BOOLEAN NOT NULL
);
COMMENT ON TABLE attachment IS 'Side table: leaves of a mail''s MIME tree that are not its text; the bytes are cut from the raw mail.';
COMMENT ON COLUMN attachment.start IS 'Byte range start..end of the encoded body in the raw mail; size and sha256 are of the decoded bytes.';

CREATE TABLE mail_id (
    rfc_id VARCHAR NOT NULL,
    message BIGINT NOT NULL,
    ticket BIGINT,
    role VARCHAR NOT NULL,
    sender BIGINT,

    h UBIGINT NOT NULL
);
CREATE INDEX mail_id_h ON mail_id (h);
COMMENT ON TABLE mail_id IS 'RFC 5322 Message-IDs seen on stored mail, its own (self) and those it answers (reference).';
COMMENT ON COLUMN mail_id.h IS 'Hash of rfc_id.';

CREATE TABLE addressee (
    message BIGINT NOT NULL,
    ticket BIGINT NOT NULL,
    person_address VARCHAR NOT NULL
);
CREATE INDEX addressee_ticket ON addressee (ticket);
COMMENT ON TABLE addressee IS 'Side table: who stood on To or Cc of a participant''s mail, and so may answer it by plain references.';

CREATE TABLE mail_facts (
    spool_id VARCHAR NOT NULL,
    message BIGINT,
    received_at TIMESTAMP NOT NULL,
    sender VARCHAR NOT NULL,
    domain VARCHAR NOT NULL,
    subject VARCHAR NOT NULL,
    queue VARCHAR NOT NULL,
    mail_class VARCHAR NOT NULL,
    level TINYINT NOT NULL,
    agent BOOLEAN NOT NULL,
    signal VARCHAR NOT NULL,
    ticket BIGINT,
    status VARCHAR,
    priority VARCHAR,
    attachments INTEGER NOT NULL,
    size BIGINT NOT NULL,
    rules VARCHAR NOT NULL
);
COMMENT ON TABLE mail_facts IS 'Side table: what rules read of a mail, as it was when it was decided.';
COMMENT ON COLUMN mail_facts.status IS 'Of the matched ticket before this mail, as priority is.';
COMMENT ON COLUMN mail_facts.rules IS 'Names of the rules that hit, separated by one space.';

CREATE TABLE decision (
    spool_id VARCHAR NOT NULL,
    ordinal INTEGER NOT NULL,
    ticket BIGINT,
    code VARCHAR NOT NULL,
    detail VARCHAR NOT NULL
);
COMMENT ON TABLE decision IS 'Side table: why a mail had the effect it had, step by step.';

CREATE TABLE outbox (
    id BIGINT NOT NULL,
    kind VARCHAR NOT NULL,
    ticket BIGINT,
    message BIGINT,
    recipient BIGINT NOT NULL,
    rfc_id VARCHAR NOT NULL,
    rcpt_to VARCHAR NOT NULL,
    sha256 VARCHAR NOT NULL,
    size BIGINT NOT NULL,
    created_at TIMESTAMP NOT NULL,

    month VARCHAR NOT NULL
);
COMMENT ON TABLE outbox IS 'Side table: a mail of ours, rendered once. The other half, outbox_text, is in the mail file of its month.';
COMMENT ON COLUMN outbox.recipient IS 'Person id.';
COMMENT ON COLUMN outbox.sha256 IS 'Of the bytes that are sent, every time the same.';

CREATE TABLE delivery (
    outbox BIGINT PRIMARY KEY,
    state VARCHAR NOT NULL,
    attempts INTEGER NOT NULL,
    next_at TIMESTAMP NOT NULL,
    changed_at TIMESTAMP NOT NULL,
    reply VARCHAR NOT NULL
);
COMMENT ON TABLE delivery IS 'The changing half of an outbox row: how far it got.';
COMMENT ON COLUMN delivery.reply IS 'Last words of the other side, cut to 500 characters.';

CREATE TABLE processed (
    spool_id VARCHAR NOT NULL,
    delivery_key VARCHAR NOT NULL,
    disposition VARCHAR NOT NULL,
    message BIGINT,
    "at" TIMESTAMP NOT NULL,

    h UBIGINT NOT NULL
);
COMMENT ON TABLE processed IS 'The exactly-once mark of a spool entry, committed with its effect.';
COMMENT ON COLUMN processed.delivery_key IS 'Hash of sender, recipients and bytes: who lost our 250 and sends again is recognised for a week.';
COMMENT ON COLUMN processed.h IS 'Hash of delivery_key.';
