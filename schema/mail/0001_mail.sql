-- A mail file, one a month: raw bytes and text, in row groups of 2048 so that a checkpoint rewrites little.
-- Rows are only added (and overwritten by erasure); a month that is over is backed up once.

CREATE TABLE meta (
    name VARCHAR NOT NULL,
    number BIGINT NOT NULL
);
COMMENT ON TABLE meta IS 'applied_seq: last journal frame that wrote into this file.';
INSERT INTO meta VALUES ('applied_seq', 0);

CREATE TABLE raw (
    spool_id VARCHAR NOT NULL,
    bytes BLOB NOT NULL
);
COMMENT ON TABLE raw IS 'Side table: a mail exactly as it was received.';

CREATE TABLE message_text (
    message BIGINT NOT NULL,
    subject VARCHAR NOT NULL,
    from_name VARCHAR NOT NULL,
    from_address VARCHAR NOT NULL,
    new_text VARCHAR NOT NULL,
    whole_text VARCHAR NOT NULL,
    html VARCHAR NOT NULL
);
COMMENT ON TABLE message_text IS 'Side table: the words of a stored message; new_text is what its author newly wrote.';

CREATE TABLE outbox_text (
    id BIGINT NOT NULL,
    mail_from VARCHAR NOT NULL,
    headers VARCHAR NOT NULL,
    text VARCHAR NOT NULL,
    html VARCHAR NOT NULL,
    parts VARCHAR NOT NULL,
    boundary VARCHAR NOT NULL
);
COMMENT ON TABLE outbox_text IS 'Side table: the words of an outbox row; its bytes are assembled from them, always the same.';
COMMENT ON COLUMN outbox_text.mail_from IS 'Empty is the null reverse-path.';
COMMENT ON COLUMN outbox_text.headers IS 'JSON: [[name, value], ...].';
COMMENT ON COLUMN outbox_text.parts IS 'JSON: byte ranges of stored mails that go along.';
