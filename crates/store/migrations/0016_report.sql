-- Reports as they were signed, and the units of an order. Ids are 16-byte UUIDv7, times are microseconds UTC.

-- Never changed. One is deleted only when its schedule keeps it for so long and no longer.
CREATE TABLE report (
    id         BLOB    PRIMARY KEY CHECK (length(id) = 16), -- sorts by when it was made
    kind       TEXT    NOT NULL CHECK (kind IN ('shift', 'day', 'order')),
    path       TEXT    NOT NULL,
    subject    TEXT    NOT NULL, -- the order's number; empty: none
    shift      TEXT, -- what people call it
    from_at    INTEGER NOT NULL,
    to_at      INTEGER NOT NULL CHECK (to_at >= from_at),
    made_at    INTEGER NOT NULL,
    by_id      BLOB, -- null: a schedule
    schedule   TEXT, -- null: a person
    key        BLOB    UNIQUE CHECK (length(key) = 16), -- of the request; null: a schedule
    asked      BLOB    CHECK (length(asked) = 32), -- the digest of what was asked
    replaces   BLOB    UNIQUE CHECK (length(replaces) = 16), -- the report that it takes the place of
    event      BLOB    NOT NULL,
    key_id     TEXT    NOT NULL, -- the public key that verifies it
    signature  BLOB    NOT NULL CHECK (length(signature) = 64),
    size       INTEGER NOT NULL CHECK (size > 0),
    content    BLOB    NOT NULL -- what is signed
) STRICT;
-- Whatever a program does: a schedule makes one report of a window.
-- By the end, for the last window of a schedule is asked for.
CREATE UNIQUE INDEX report_one_of_a_window ON report (schedule, to_at, from_at) WHERE schedule IS NOT NULL;
CREATE INDEX report_by_window ON report (path, from_at, to_at);
CREATE INDEX report_by_schedule ON report (schedule, made_at);
CREATE TRIGGER report_is_not_changed BEFORE UPDATE ON report
BEGIN SELECT RAISE(ABORT, 'a report is never changed'); END;

-- Where a report stands, with every branch above: what a branch and a right are looked up by, the newest first.
CREATE TABLE report_branch (
    branch TEXT NOT NULL,
    report BLOB NOT NULL,
    kind   TEXT NOT NULL,
    PRIMARY KEY (branch, report)
) STRICT, WITHOUT ROWID;
CREATE INDEX report_branch_by_report ON report_branch (report);

-- Reports whose files are still to be written, below the folder of reports.
CREATE TABLE report_file (
    report BLOB PRIMARY KEY CHECK (length(report) = 16),
    folder TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Windows that were over and of which a schedule could make no report yet.
CREATE TABLE report_owed (
    schedule TEXT NOT NULL,
    from_at  INTEGER NOT NULL,
    to_at    INTEGER NOT NULL,
    shift    TEXT, -- what people call it
    PRIMARY KEY (schedule, from_at, to_at)
) STRICT, WITHOUT ROWID;

-- The time from which the age of reports counts: at most one row.
CREATE TABLE report_counted (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    at  INTEGER NOT NULL
) STRICT;

-- What was made under a job order, the newest last.
CREATE INDEX trace_item_by_job ON trace_item (job) WHERE job IS NOT NULL;
