-- What the command grammar sets: type, due, working time, own fields, links between tickets, opt-outs.

ALTER TABLE ticket ADD COLUMN type VARCHAR;
ALTER TABLE ticket ADD COLUMN due_at TIMESTAMP;
ALTER TABLE ticket ADD COLUMN pending_until TIMESTAMP;
ALTER TABLE ticket ADD COLUMN spent_minutes BIGINT DEFAULT 0;
ALTER TABLE ticket ADD COLUMN estimate_minutes BIGINT;
ALTER TABLE ticket ADD COLUMN void_from VARCHAR;
COMMENT ON COLUMN ticket.type IS 'question, incident, problem, change, request, bug; NULL: nobody said.';
COMMENT ON COLUMN ticket.pending_until IS 'When a pending ticket is to be looked at again.';
COMMENT ON COLUMN ticket.spent_minutes IS 'Working time that agents wrote down, summed.';
COMMENT ON COLUMN ticket.void_from IS 'Status that #restore gives a void ticket back.';

CREATE TABLE ticket_field (
    event BIGINT NOT NULL,
    ticket BIGINT NOT NULL,
    field VARCHAR NOT NULL,
    value VARCHAR NOT NULL
);
COMMENT ON TABLE ticket_field IS 'Side table: values of the fields declared as [[field]]; it only grows, the row of the last event counts.';
COMMENT ON COLUMN ticket_field.event IS 'seq of the event that set it.';
COMMENT ON COLUMN ticket_field.value IS 'Empty if it was cleared.';

CREATE TABLE ticket_link (
    ticket BIGINT NOT NULL,
    other BIGINT NOT NULL,
    relation VARCHAR NOT NULL,
    since TIMESTAMP NOT NULL,
    "until" TIMESTAMP
);
COMMENT ON TABLE ticket_link IS 'How tickets hang together, a row for each side: ids, enumerations and times only.';
COMMENT ON COLUMN ticket_link.relation IS 'relates, blocks, blocked_by, duplicates, duplicated_by, parent, child: ticket … other.';
COMMENT ON COLUMN ticket_link.until IS 'NULL: the link stands.';

CREATE TABLE opt_out (
    person BIGINT NOT NULL,
    since TIMESTAMP NOT NULL,
    cause VARCHAR NOT NULL
);
COMMENT ON TABLE opt_out IS 'Persons who want no automatic mail: ids and times only, one row a person.';
COMMENT ON COLUMN opt_out.cause IS 'Spool id of the mail that asked it.';
