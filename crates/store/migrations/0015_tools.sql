-- Tools: on which machine each was mounted, when it was renewed, and what was told of its life. Times are microseconds UTC. The last of times
-- (9223372036854775807) is the end of what lasts. How much a tool has used is not kept: it is what its machines did meanwhile.

-- A tool on a machine, from when to when. Put right by people; what stood there before is in tool_change.
CREATE TABLE tool_span (
    number  INTEGER PRIMARY KEY CHECK (number > 0),
    tool    TEXT    NOT NULL,
    machine TEXT    NOT NULL,
    from_at INTEGER NOT NULL,
    to_at   INTEGER NOT NULL CHECK (to_at >= from_at),
    by_id   BLOB    NOT NULL, -- who mounted it
    reason  TEXT    NOT NULL
) STRICT;
CREATE INDEX tool_span_by_tool ON tool_span (tool, to_at);
CREATE INDEX tool_span_by_machine ON tool_span (machine, to_at);
-- Whatever a program does: a tool is on one machine at a time.
CREATE UNIQUE INDEX tool_span_one_of_a_tool ON tool_span (tool) WHERE to_at = 9223372036854775807;

-- From then on its life begins anew.
CREATE TABLE tool_renewal (
    tool    TEXT    NOT NULL,
    renewal INTEGER NOT NULL CHECK (renewal > 0), -- 1 for the first
    at      INTEGER NOT NULL,
    by_id   BLOB    NOT NULL,
    reason  TEXT    NOT NULL,
    PRIMARY KEY (tool, renewal)
) STRICT, WITHOUT ROWID;

-- What was told of a life, each once.
CREATE TABLE tool_told (
    tool    TEXT    NOT NULL,
    renewal INTEGER NOT NULL, -- of the life after so many renewals
    level   TEXT    NOT NULL CHECK (level IN ('warn', 'end')),
    reached INTEGER NOT NULL, -- at which it is reached: millionths of a cycle, or microseconds of run time
    at      INTEGER NOT NULL,
    event   BLOB    NOT NULL,
    PRIMARY KEY (tool, renewal, level, reached)
) STRICT, WITHOUT ROWID;

-- What people asked for, each once: rows are never changed.
CREATE TABLE tool_change (
    number   INTEGER PRIMARY KEY CHECK (number > 0),
    key      BLOB    NOT NULL UNIQUE CHECK (length(key) = 16),
    content  BLOB    NOT NULL CHECK (length(content) = 32), -- the digest of what was asked
    tool     TEXT    NOT NULL,
    kind     TEXT    NOT NULL CHECK (kind IN ('mount', 'unmount', 'correct', 'renew', 'used')),
    at       INTEGER NOT NULL,
    by_id    BLOB    NOT NULL,
    reason   TEXT    NOT NULL,
    renewal  INTEGER NOT NULL, -- how often the tool had been renewed then
    span     INTEGER REFERENCES tool_span (number), -- of a mounting
    was_from INTEGER, -- of one that was put right: what stood there
    was_to   INTEGER,
    cycles   INTEGER, -- what the life had used besides, as was said: millionths of a cycle
    run_time INTEGER, -- likewise, microseconds
    event    BLOB -- NULL: it was so already, and nothing was done
) STRICT;
CREATE INDEX tool_change_by_tool ON tool_change (tool, number);
CREATE INDEX tool_change_by_span ON tool_change (span, number);
