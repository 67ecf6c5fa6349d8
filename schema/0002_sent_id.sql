-- Providers send mail under Message-IDs of their own; the copy in the Sent folder of a watched mailbox tells which.

CREATE TABLE sent_id (
    rfc_id VARCHAR NOT NULL,
    outbox BIGINT NOT NULL,

    h UBIGINT NOT NULL
);
CREATE INDEX sent_id_h ON sent_id (h);
COMMENT ON TABLE sent_id IS 'The Message-ID under which a provider sent a mail of ours.';
COMMENT ON COLUMN sent_id.h IS 'Hash of rfc_id.';
