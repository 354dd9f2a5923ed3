-- What was heard from an ERP, so that a message that comes again is known, and one that comes too late is refused. Times are
-- microseconds since 1970 UTC. What is old, and what is beyond a number or a size, is deleted.

CREATE TABLE erp_message (
    number  INTEGER PRIMARY KEY CHECK (number > 0), -- later than all before it
    key     BLOB    NOT NULL UNIQUE CHECK (length(key) = 32), -- the digest of who sent it and of its BODID
    content BLOB    NOT NULL CHECK (length(content) = 32), -- the digest of what it said
    at      INTEGER NOT NULL,
    bytes   INTEGER NOT NULL CHECK (bytes >= 0), -- of the answer
    answer  TEXT    NOT NULL -- as it was given; empty: none was wanted
) STRICT;

-- Of each thing that messages are about, when the last one that was accepted was made, by its sender's clock.
CREATE TABLE erp_latest (
    subject TEXT    PRIMARY KEY, -- order:4711
    created INTEGER NOT NULL,
    at      INTEGER NOT NULL -- when it came, by ours
) STRICT, WITHOUT ROWID;
CREATE INDEX erp_latest_by_time ON erp_latest (at);
