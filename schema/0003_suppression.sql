-- Dead addresses, and mail that is late.

CREATE TABLE suppression (
    person BIGINT NOT NULL,
    since TIMESTAMP NOT NULL,
    status VARCHAR NOT NULL,
    cause VARCHAR NOT NULL,
    revived_at TIMESTAMP,
    revived_by VARCHAR
);
COMMENT ON TABLE suppression IS 'Persons to whom we do not write, since mail to them comes back: ids, enumerations and times only, one row a person.';
COMMENT ON COLUMN suppression.since IS 'When the address was found dead. Of an agent, to whom we write all the same: when a colleague was last told.';
COMMENT ON COLUMN suppression.status IS 'RFC 3463 status that decided it.';
COMMENT ON COLUMN suppression.cause IS 'Spool id of the report, or outbox:<id> of the mail that was refused.';
COMMENT ON COLUMN suppression.revived_at IS 'Since when we write again; NULL: we do not.';
COMMENT ON COLUMN suppression.revived_by IS 'Spool id of the mail that proved or asked it, or operator:<uid>.';

ALTER TABLE delivery ADD COLUMN told_at TIMESTAMP;
COMMENT ON COLUMN delivery.told_at IS 'When the writer of this answer was told that it is late; NULL: not yet.';
