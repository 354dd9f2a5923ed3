-- What was heard from an ERP, so that a message that comes again is known, and one that comes too late is refused. Times are
-- microseconds since 1970 UTC. What is old, and what is beyond a number or a size, is deleted.

CREATE TABLE erp_message (
    number  BIGINT PRIMARY KEY CHECK (number > 0), -- later than all before it
    key     BYTEA NOT NULL UNIQUE CHECK (length(key) = 32), -- the digest of who sent it and of its BODID
    content BYTEA NOT NULL CHECK (length(content) = 32), -- the digest of what it said
    at      BIGINT NOT NULL,
    bytes   BIGINT NOT NULL CHECK (bytes >= 0), -- of the answer
    answer  TEXT COLLATE "C" NOT NULL -- as it was given; empty: none was wanted
);

-- Of each thing that messages are about, when the last one that was accepted was made, by its sender's clock.
CREATE TABLE erp_latest (
    subject TEXT COLLATE "C" PRIMARY KEY, -- order:4711
    created BIGINT NOT NULL,
    at      BIGINT NOT NULL -- when it came, by ours
);
CREATE INDEX erp_latest_by_time ON erp_latest (at);
