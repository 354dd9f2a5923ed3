-- Tools: on which machine each was mounted, when it was renewed, and what was told of its life. Times are microseconds UTC. The last of times
-- (9223372036854775807) is the end of what lasts. How much a tool has used is not kept: it is what its machines did meanwhile.

-- A tool on a machine, from when to when. Put right by people; what stood there before is in tool_change.
CREATE TABLE tool_span (
    number  BIGINT PRIMARY KEY CHECK (number > 0),
    tool    TEXT COLLATE "C"    NOT NULL,
    machine TEXT COLLATE "C"    NOT NULL,
    from_at BIGINT NOT NULL,
    to_at   BIGINT NOT NULL CHECK (to_at >= from_at),
    by_id   BYTEA    NOT NULL, -- who mounted it
    reason  TEXT COLLATE "C"    NOT NULL
);
CREATE INDEX tool_span_by_tool ON tool_span (tool, to_at);
CREATE INDEX tool_span_by_machine ON tool_span (machine, to_at);
-- Whatever a program does: a tool is on one machine at a time.
CREATE UNIQUE INDEX tool_span_one_of_a_tool ON tool_span (tool) WHERE to_at = 9223372036854775807;

-- From then on its life begins anew.
CREATE TABLE tool_renewal (
    tool    TEXT COLLATE "C"    NOT NULL,
    renewal BIGINT NOT NULL CHECK (renewal > 0), -- 1 for the first
    at      BIGINT NOT NULL,
    by_id   BYTEA    NOT NULL,
    reason  TEXT COLLATE "C"    NOT NULL,
    PRIMARY KEY (tool, renewal)
);

-- What was told of a life, each once.
CREATE TABLE tool_told (
    tool    TEXT COLLATE "C"    NOT NULL,
    renewal BIGINT NOT NULL, -- of the life after so many renewals
    level   TEXT COLLATE "C"    NOT NULL CHECK (level IN ('warn', 'end')),
    reached BIGINT NOT NULL, -- at which it is reached: millionths of a cycle, or microseconds of run time
    at      BIGINT NOT NULL,
    event   BYTEA    NOT NULL,
    PRIMARY KEY (tool, renewal, level, reached)
);

-- What people asked for, each once: rows are never changed.
CREATE TABLE tool_change (
    number   BIGINT PRIMARY KEY CHECK (number > 0),
    key      BYTEA    NOT NULL UNIQUE CHECK (length(key) = 16),
    content  BYTEA    NOT NULL CHECK (length(content) = 32), -- the digest of what was asked
    tool     TEXT COLLATE "C"    NOT NULL,
    kind     TEXT COLLATE "C"    NOT NULL CHECK (kind IN ('mount', 'unmount', 'correct', 'renew', 'used')),
    at       BIGINT NOT NULL,
    by_id    BYTEA    NOT NULL,
    reason   TEXT COLLATE "C"    NOT NULL,
    renewal  BIGINT NOT NULL, -- how often the tool had been renewed then
    span     BIGINT REFERENCES tool_span (number), -- of a mounting
    was_from BIGINT, -- of one that was put right: what stood there
    was_to   BIGINT,
    cycles   BIGINT, -- what the life had used besides, as was said: millionths of a cycle
    run_time BIGINT, -- likewise, microseconds
    event    BYTEA -- NULL: it was so already, and nothing was done
);
CREATE INDEX tool_change_by_tool ON tool_change (tool, number);
CREATE INDEX tool_change_by_span ON tool_change (span, number);
