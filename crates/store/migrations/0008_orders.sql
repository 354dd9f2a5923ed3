-- Work orders and their job orders. Ids are 16-byte UUIDv7, quantities are millionths, times are microseconds since 1970 UTC.
-- The words of states are `andon-mes`'s; whether a job is open and whether it stands on its equipment is told beside them.

CREATE TABLE work_order (
    id       BLOB    PRIMARY KEY, -- sorts by when it was made
    number   TEXT    NOT NULL UNIQUE,
    material TEXT    NOT NULL,
    revision TEXT,
    title    TEXT    NOT NULL,
    unit     TEXT    NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    due      INTEGER,
    priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 9),
    state    TEXT    NOT NULL,
    source   TEXT    NOT NULL, -- person
    note     TEXT    NOT NULL,
    fold     TEXT    NOT NULL, -- number, material and title in lower case: what a search looks at
    created  INTEGER NOT NULL,
    version  INTEGER NOT NULL CHECK (version > 0) -- grows with the order and with the states of its jobs, not with counts
) STRICT, WITHOUT ROWID;
CREATE INDEX work_order_by_state ON work_order (state, id);

-- Where the jobs of an order can be done, with every branch above: what a branch and a right are looked up by, the newest order first.
-- The places never change. The state is the order's, so that the open orders of a branch are found without its history.
CREATE TABLE order_branch (
    branch   TEXT NOT NULL,
    order_id BLOB NOT NULL REFERENCES work_order (id),
    state    TEXT NOT NULL,
    PRIMARY KEY (branch, order_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX order_branch_by_state ON order_branch (branch, state, order_id);

CREATE TABLE job_order (
    id            BLOB    PRIMARY KEY,
    ordinal       INTEGER NOT NULL UNIQUE CHECK (ordinal > 0), -- the number that logs of units have for it; never given twice
    order_id      BLOB    NOT NULL REFERENCES work_order (id),
    position      INTEGER NOT NULL,
    number        TEXT    NOT NULL UNIQUE,
    operation     TEXT    NOT NULL,
    title         TEXT    NOT NULL,
    equipment     TEXT,
    alternatives  TEXT    NOT NULL, -- JSON: paths
    quantity      INTEGER NOT NULL CHECK (quantity > 0),
    good          INTEGER NOT NULL CHECK (good >= 0),
    scrap         INTEGER NOT NULL CHECK (scrap >= 0),
    rework        INTEGER NOT NULL CHECK (rework >= 0),
    state         TEXT    NOT NULL,
    substate      TEXT,
    is_open       INTEGER NOT NULL CHECK (is_open IN (0, 1)),
    stands        INTEGER NOT NULL CHECK (stands IN (0, 1)),
    planned_start INTEGER,
    planned_end   INTEGER,
    pinned        INTEGER NOT NULL CHECK (pinned IN (0, 1)),
    started       INTEGER,
    ended         INTEGER,
    run_time_ns   INTEGER NOT NULL CHECK (run_time_ns >= 0), -- per item
    setup_us      INTEGER NOT NULL CHECK (setup_us >= 0),
    after_jobs    TEXT    NOT NULL, -- JSON: ids
    skills        TEXT    NOT NULL, -- JSON: names
    instructions  TEXT    NOT NULL, -- JSON: names
    version       INTEGER NOT NULL CHECK (version > 0)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX job_order_by_order ON job_order (order_id, position);

-- Open jobs as each equipment is to make them; the path '' holds them all. What is not planned, or not due, has the last of times.
-- A job that is decided for other equipment stands there as elsewhere: it is not to be made there, but who sees the place sees the job.
CREATE TABLE job_queue (
    equipment     TEXT    NOT NULL,
    elsewhere     INTEGER NOT NULL CHECK (elsewhere IN (0, 1)),
    planned_start INTEGER NOT NULL,
    urgency       INTEGER NOT NULL, -- 9 minus the priority
    due           INTEGER NOT NULL,
    job           BLOB    NOT NULL REFERENCES job_order (id),
    PRIMARY KEY (equipment, elsewhere, planned_start, urgency, due, job)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_queue_by_job ON job_queue (job, equipment);

-- All that happened to jobs. Never changed, never deleted: a count is put right by another. The key is given by who asks,
-- so that what is asked twice is done once.
CREATE TABLE job_ledger (
    number    INTEGER PRIMARY KEY CHECK (number > 0),
    key       BLOB    NOT NULL UNIQUE,
    job       BLOB    NOT NULL REFERENCES job_order (id),
    at        INTEGER NOT NULL,
    kind      TEXT    NOT NULL CHECK (kind IN ('trigger', 'count', 'seen', 'plan', 'change')),
    content   TEXT    NOT NULL, -- JSON: what was asked
    state     TEXT    NOT NULL, -- what the job was in then
    substate  TEXT,
    equipment TEXT,
    good      INTEGER NOT NULL,
    scrap     INTEGER NOT NULL,
    rework    INTEGER NOT NULL,
    by_id     BLOB    NOT NULL,
    event     BLOB    NOT NULL
) STRICT;
CREATE INDEX job_ledger_by_job ON job_ledger (job, number);
CREATE INDEX job_ledger_seen ON job_ledger (job, number) WHERE kind = 'seen';
-- What people counted at a work unit, in order of time.
CREATE INDEX job_ledger_counts ON job_ledger (equipment, at, number) WHERE kind = 'count';

-- When a job stood on a work unit, by the ledger. The last of times: it still does. The spans of a unit follow each other in time, also
-- where the clock was set back in between: none begins before the last one ended.
CREATE TABLE job_span (
    number  INTEGER PRIMARY KEY CHECK (number > 0),
    unit    TEXT    NOT NULL,
    job     BLOB    NOT NULL REFERENCES job_order (id),
    from_at INTEGER NOT NULL,
    to_at   INTEGER NOT NULL CHECK (to_at >= from_at),
    by_id   BLOB    NOT NULL -- who put it there
) STRICT;
CREATE INDEX job_span_by_unit ON job_span (unit, to_at);
CREATE INDEX job_span_by_end ON job_span (to_at);
CREATE INDEX job_span_by_job ON job_span (job, number);
-- Whatever a program does: one job at a time on a unit, and a job on one unit at a time.
CREATE UNIQUE INDEX job_span_one_on_a_unit ON job_span (unit) WHERE to_at = 9223372036854775807;
CREATE UNIQUE INDEX job_span_one_of_a_job ON job_span (job) WHERE to_at = 9223372036854775807;

-- What people are qualified for. It goes with the person.
CREATE TABLE person_skill (
    person BLOB    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    skill  TEXT    NOT NULL,
    until  INTEGER, -- NULL: without end
    PRIMARY KEY (person, skill)
) STRICT, WITHOUT ROWID;
