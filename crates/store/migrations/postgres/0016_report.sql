-- Reports as they were signed, and the units of an order. Ids are 16-byte UUIDv7, times are microseconds UTC.

-- Never changed. One is deleted only when its schedule keeps it for so long and no longer.
CREATE TABLE report (
    id         BYTEA    PRIMARY KEY CHECK (length(id) = 16), -- sorts by when it was made
    kind       TEXT COLLATE "C"    NOT NULL CHECK (kind IN ('shift', 'day', 'order')),
    path       TEXT COLLATE "C"    NOT NULL,
    subject    TEXT COLLATE "C"    NOT NULL, -- the order's number; empty: none
    shift      TEXT COLLATE "C", -- what people call it
    from_at    BIGINT NOT NULL,
    to_at      BIGINT NOT NULL CHECK (to_at >= from_at),
    made_at    BIGINT NOT NULL,
    by_id      BYTEA, -- null: a schedule
    schedule   TEXT COLLATE "C", -- null: a person
    key        BYTEA    UNIQUE CHECK (length(key) = 16), -- of the request; null: a schedule
    asked      BYTEA    CHECK (length(asked) = 32), -- the digest of what was asked
    replaces   BYTEA    UNIQUE CHECK (length(replaces) = 16), -- the report that it takes the place of
    event      BYTEA    NOT NULL,
    key_id     TEXT COLLATE "C"    NOT NULL, -- the public key that verifies it
    signature  BYTEA    NOT NULL CHECK (length(signature) = 64),
    size       BIGINT NOT NULL CHECK (size > 0),
    content    BYTEA    NOT NULL -- what is signed
);
-- Whatever a program does: a schedule makes one report of a window.
-- By the end, for the last window of a schedule is asked for.
CREATE UNIQUE INDEX report_one_of_a_window ON report (schedule, to_at, from_at) WHERE schedule IS NOT NULL;
CREATE INDEX report_by_window ON report (path, from_at, to_at);
CREATE INDEX report_by_schedule ON report (schedule, made_at);
CREATE FUNCTION report_stays() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a report is never changed'; END $$;
CREATE TRIGGER report_is_not_changed BEFORE UPDATE ON report
    FOR EACH ROW EXECUTE FUNCTION report_stays();

-- Where a report stands, with every branch above: what a branch and a right are looked up by, the newest first.
CREATE TABLE report_branch (
    branch TEXT COLLATE "C" NOT NULL,
    report BYTEA NOT NULL,
    kind   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (branch, report)
);
CREATE INDEX report_branch_by_report ON report_branch (report);

-- Reports whose files are still to be written, below the folder of reports.
CREATE TABLE report_file (
    report BYTEA PRIMARY KEY CHECK (length(report) = 16),
    folder TEXT COLLATE "C" NOT NULL
);

-- Windows that were over and of which a schedule could make no report yet.
CREATE TABLE report_owed (
    schedule TEXT COLLATE "C" NOT NULL,
    from_at  BIGINT NOT NULL,
    to_at    BIGINT NOT NULL,
    shift    TEXT COLLATE "C", -- what people call it
    PRIMARY KEY (schedule, from_at, to_at)
);

-- The time from which the age of reports counts: at most one row.
CREATE TABLE report_counted (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    at  BIGINT NOT NULL
);

-- What was made under a job order, the newest last.
CREATE INDEX trace_item_by_job ON trace_item (job, key) WHERE job IS NOT NULL;
