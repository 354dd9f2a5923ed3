-- All that the migrations of SQLite up to this number come to; from here on, each number stands in both folders.
-- Ids are 16 bytes, times are microseconds since 1970 UTC, JSON is text (it is given back as it came). Texts are compared and sorted by their
-- bytes, as SQLite does.

-- Who writes, and how many changes it has made: each change counts itself in its own transaction. A node that finds another life here, or
-- another number than its own, is not the one whose records these are.
CREATE TABLE writer (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    life    BYTEA NOT NULL,
    commits BIGINT NOT NULL CHECK (commits >= 0),
    node    BYTEA CHECK (length(node) = 16) -- whose records these are; NULL: the next one's that comes
);
INSERT INTO writer (one, life, commits) VALUES (1, '', 0);

-- One row per version of the plant model; the newest is the one in force.
CREATE TABLE plant_version (
    version   BIGINT PRIMARY KEY CHECK (version > 0),
    at        BIGINT NOT NULL,
    by_id     BYTEA NOT NULL,
    by_kind   TEXT COLLATE "C" NOT NULL,
    reason    TEXT COLLATE "C",
    plant     TEXT COLLATE "C" NOT NULL, -- the whole model
    changes   TEXT COLLATE "C" NOT NULL, -- against the version before
    event_id  BYTEA NOT NULL UNIQUE
);

-- A tag's number inside this node. Rows are never deleted, so a number is never given twice.
CREATE TABLE tag (
    number BIGINT PRIMARY KEY CHECK (number <= 4294967295),
    id     BYTEA NOT NULL UNIQUE
);

-- Which path meant which tag, from when to when (until_at NULL: still).
CREATE TABLE tag_name (
    id       BYTEA NOT NULL REFERENCES tag (id),
    path     TEXT COLLATE "C" NOT NULL,
    from_at  BIGINT NOT NULL,
    until_at BIGINT,
    rowid    BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY -- in the order of writing
);
CREATE INDEX tag_name_by_id ON tag_name (id);
CREATE INDEX tag_name_by_path ON tag_name (path);
CREATE UNIQUE INDEX tag_name_now_by_id ON tag_name (id) WHERE until_at IS NULL;
CREATE UNIQUE INDEX tag_name_now_by_path ON tag_name (path) WHERE until_at IS NULL;

CREATE TABLE person (
    id            BYTEA PRIMARY KEY,
    password_hash TEXT COLLATE "C" NOT NULL,
    enabled       BIGINT NOT NULL CHECK (enabled IN (0, 1)),
    grants        TEXT COLLATE "C" NOT NULL,
    created       BIGINT NOT NULL,
    last_login    BIGINT
);

-- Names stand apart, so that they can be erased while events keep the id.
CREATE TABLE person_name (
    id   BYTEA PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE,
    name TEXT COLLATE "C" NOT NULL,
    fold TEXT COLLATE "C" NOT NULL UNIQUE -- the name in lower case: unique without regard to case
);

CREATE TABLE token (
    id            BYTEA PRIMARY KEY,
    name          TEXT COLLATE "C" NOT NULL,
    secret_sha256 BYTEA NOT NULL UNIQUE,
    grants        TEXT COLLATE "C" NOT NULL,
    created       BIGINT NOT NULL,
    revoked       BIGINT,
    last_used     BIGINT
);

CREATE TABLE device (
    id            BYTEA PRIMARY KEY,
    "user"        TEXT COLLATE "C" NOT NULL UNIQUE,
    secret_sha256 BYTEA NOT NULL,
    client_id     TEXT COLLATE "C" UNIQUE,
    branch        TEXT COLLATE "C",
    publish       TEXT COLLATE "C" NOT NULL,
    subscribe     TEXT COLLATE "C" NOT NULL,
    enabled       BIGINT NOT NULL CHECK (enabled IN (0, 1)),
    created       BIGINT NOT NULL,
    scram         TEXT COLLATE "C", -- what checks the password by SCRAM-SHA-256; NULL: the credential was made before there was that
    certificate   TEXT COLLATE "C", -- its common name, or its SHA-256 in hexadecimal; NULL: none is asked for
    certificate_der BYTEA CHECK (length(certificate_der) <= 16384) -- as it was entered, for people to see; NULL: its name alone was given
);

CREATE TABLE session (
    id_sha256 BYTEA PRIMARY KEY,
    person    BYTEA NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created   BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    expires   BIGINT NOT NULL
);
CREATE INDEX session_by_person ON session (person);
CREATE INDEX session_by_expiry ON session (expires);

-- Set-up codes and log-in links, each good for one use.
CREATE TABLE code (
    code_sha256 BYTEA PRIMARY KEY,
    purpose     TEXT COLLATE "C" NOT NULL,
    person      BYTEA REFERENCES person (id) ON DELETE CASCADE,
    expires     BIGINT NOT NULL,
    used        BIGINT
);
CREATE INDEX code_by_person ON code (person);

-- Events on their way to the records lane, in the order of their commits.
CREATE TABLE outbox (
    position BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- there is one writer: it grows with the commits
    id       BYTEA NOT NULL UNIQUE,
    event    TEXT COLLATE "C" NOT NULL,
    created  BIGINT NOT NULL
);

-- How far a reader of the log has come; moved in the same transaction as what it did.
CREATE TABLE applied (
    reader TEXT COLLATE "C" NOT NULL,
    lane   TEXT COLLATE "C" NOT NULL,
    seq    BIGINT NOT NULL CHECK (seq >= 0),
    PRIMARY KEY (reader, lane)
);

-- The events of the records lane, ready to be searched. Derived: can be made again from the log.
CREATE TABLE timeline (
    seq      BIGINT PRIMARY KEY,
    id       BYTEA NOT NULL UNIQUE,
    at       BIGINT NOT NULL,
    kind     TEXT COLLATE "C" NOT NULL,
    path     TEXT COLLATE "C" NOT NULL,
    by_id    BYTEA NOT NULL,
    by_kind  TEXT COLLATE "C" NOT NULL,
    severity BIGINT NOT NULL,
    json     TEXT COLLATE "C" NOT NULL,
    about    BIGINT -- the time that a note is about; NULL for all other events, whose time is `at`
);
CREATE INDEX timeline_by_time ON timeline (at);
CREATE INDEX timeline_by_kind ON timeline (kind, seq);
CREATE INDEX timeline_by_path ON timeline (path, seq);

-- What the timeline could not get from the log.
CREATE TABLE timeline_gap (
    from_seq BIGINT PRIMARY KEY,
    to_seq   BIGINT NOT NULL,
    reason   TEXT COLLATE "C" NOT NULL
);

CREATE INDEX timeline_by_note ON timeline (about) WHERE about IS NOT NULL;


CREATE UNIQUE INDEX device_by_certificate ON device (certificate) WHERE certificate IS NOT NULL;

-- What makes up the SCRAM salts of device names that there are not: 256 random bits, one row, never changed. Kept, so that
-- these salts stay as those of devices do.
CREATE TABLE nobody (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    key BYTEA NOT NULL CHECK (length(key) = 32)
);
INSERT INTO nobody (one, key)
    SELECT 1, sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));


-- Manufacturing execution. What stands in blobs is encoded by `andon-mes`; each begins with its version.

-- The numbers by which those blobs name units, nodes of the tree and reasons. Rows are never deleted, so a number is never given twice.
CREATE TABLE floor_number (
    kind   TEXT COLLATE "C" NOT NULL, -- node (work units too), reason
    name   TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL CHECK (number BETWEEN 0 AND 4294967295),
    PRIMARY KEY (kind, name)
);
CREATE UNIQUE INDEX floor_number_once ON floor_number (kind, number);

-- An hour of a work unit: what was recorded, and what it comes to. `hour` counts from 1970.
CREATE TABLE floor_hour (
    unit     BIGINT NOT NULL,
    hour     BIGINT NOT NULL,
    recorded BYTEA NOT NULL,
    derived  BYTEA NOT NULL,
    PRIMARY KEY (unit, hour)
);

-- The totals of a node over an hour (level 0), a day (1), or 32 days (2); `number` counts from 1970.
CREATE TABLE floor_slot (
    node   BIGINT NOT NULL,
    level  BIGINT NOT NULL CHECK (level IN (0, 1, 2)),
    number BIGINT NOT NULL,
    totals BYTEA NOT NULL,
    PRIMARY KEY (node, level, number)
);

-- What people put right. Never changed, never deleted: a correction is taken back by another.
CREATE TABLE floor_correction (
    number  BIGINT PRIMARY KEY CHECK (number BETWEEN 1 AND 4294967295),
    unit    BIGINT NOT NULL,
    from_at BIGINT NOT NULL,
    to_at   BIGINT NOT NULL CHECK (to_at > from_at),
    change  TEXT COLLATE "C" NOT NULL, -- JSON
    by_id   BYTEA NOT NULL,
    key     BYTEA NOT NULL UNIQUE, -- by which a request that comes twice is known
    at      BIGINT NOT NULL,
    event   BYTEA NOT NULL UNIQUE
);
CREATE INDEX floor_correction_by_unit ON floor_correction (unit, to_at);

-- What each counter showed at the beginning of the first hour that is not kept.
CREATE TABLE floor_counter (
    tag   BIGINT PRIMARY KEY,
    shown TEXT COLLATE "C" NOT NULL -- JSON
);

-- How far the floor has come: everything before `kept_until` (µs since 1970) is above; of what is after it, the lane of samples speaks from the
-- frame `first_seq` on; what came late in frames up to `seen_seq` is above too.
CREATE TABLE floor_progress (
    id         BIGINT PRIMARY KEY CHECK (id = 1),
    kept_until BIGINT NOT NULL,
    first_seq  BIGINT NOT NULL,
    seen_seq   BIGINT NOT NULL
);

-- Work orders and their job orders. Ids are 16-byte UUIDv7, quantities are millionths, times are microseconds since 1970 UTC.
-- The words of states are `andon-mes`'s; whether a job is open and whether it stands on its equipment is told beside them.

CREATE TABLE work_order (
    id       BYTEA PRIMARY KEY, -- sorts by when it was made
    number   TEXT COLLATE "C" NOT NULL UNIQUE,
    material TEXT COLLATE "C" NOT NULL,
    revision TEXT COLLATE "C",
    title    TEXT COLLATE "C" NOT NULL,
    unit     TEXT COLLATE "C" NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity > 0),
    due      BIGINT,
    priority BIGINT NOT NULL CHECK (priority BETWEEN 1 AND 9),
    state    TEXT COLLATE "C" NOT NULL,
    source   TEXT COLLATE "C" NOT NULL, -- person
    note     TEXT COLLATE "C" NOT NULL,
    fold     TEXT COLLATE "C" NOT NULL, -- number, material and title in lower case: what a search looks at
    created  BIGINT NOT NULL,
    version  BIGINT NOT NULL CHECK (version > 0) -- grows with the order and with the states of its jobs, not with counts
);
CREATE INDEX work_order_by_state ON work_order (state, id);

-- Where the jobs of an order can be done, with every branch above: what a branch and a right are looked up by, the newest order first.
-- The places never change. The state is the order's, so that the open orders of a branch are found without its history.
CREATE TABLE order_branch (
    branch   TEXT COLLATE "C" NOT NULL,
    order_id BYTEA NOT NULL REFERENCES work_order (id),
    state    TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (branch, order_id)
);
CREATE INDEX order_branch_by_state ON order_branch (branch, state, order_id);

CREATE TABLE job_order (
    id            BYTEA PRIMARY KEY,
    ordinal       BIGINT NOT NULL UNIQUE CHECK (ordinal > 0), -- the number that logs of units have for it; never given twice
    order_id      BYTEA NOT NULL REFERENCES work_order (id),
    position      BIGINT NOT NULL,
    number        TEXT COLLATE "C" NOT NULL UNIQUE,
    operation     TEXT COLLATE "C" NOT NULL,
    title         TEXT COLLATE "C" NOT NULL,
    equipment     TEXT COLLATE "C",
    alternatives  TEXT COLLATE "C" NOT NULL, -- JSON: paths
    quantity      BIGINT NOT NULL CHECK (quantity > 0),
    good          BIGINT NOT NULL CHECK (good >= 0),
    scrap         BIGINT NOT NULL CHECK (scrap >= 0),
    rework        BIGINT NOT NULL CHECK (rework >= 0),
    state         TEXT COLLATE "C" NOT NULL,
    substate      TEXT COLLATE "C",
    is_open       BIGINT NOT NULL CHECK (is_open IN (0, 1)),
    stands        BIGINT NOT NULL CHECK (stands IN (0, 1)),
    planned_start BIGINT,
    planned_end   BIGINT,
    pinned        BIGINT NOT NULL CHECK (pinned IN (0, 1)),
    started       BIGINT,
    ended         BIGINT,
    run_time_ns   BIGINT NOT NULL CHECK (run_time_ns >= 0), -- per item
    setup_us      BIGINT NOT NULL CHECK (setup_us >= 0),
    after_jobs    TEXT COLLATE "C" NOT NULL, -- JSON: ids
    skills        TEXT COLLATE "C" NOT NULL, -- JSON: names
    instructions  TEXT COLLATE "C" NOT NULL, -- JSON: names
    version       BIGINT NOT NULL CHECK (version > 0)
);
CREATE UNIQUE INDEX job_order_by_order ON job_order (order_id, position);

-- Open jobs as each equipment is to make them; the path '' holds them all. What is not planned, or not due, has the last of times.
-- A job that is decided for other equipment stands there as elsewhere: it is not to be made there, but who sees the place sees the job.
CREATE TABLE job_queue (
    equipment     TEXT COLLATE "C" NOT NULL,
    elsewhere     BIGINT NOT NULL CHECK (elsewhere IN (0, 1)),
    planned_start BIGINT NOT NULL,
    urgency       BIGINT NOT NULL, -- 9 minus the priority
    due           BIGINT NOT NULL,
    job           BYTEA NOT NULL REFERENCES job_order (id),
    PRIMARY KEY (equipment, elsewhere, planned_start, urgency, due, job)
);
CREATE INDEX job_queue_by_job ON job_queue (job, equipment);

-- All that happened to jobs. Never changed, never deleted: a count is put right by another. The key is given by who asks,
-- so that what is asked twice is done once.
CREATE TABLE job_ledger (
    number    BIGINT PRIMARY KEY CHECK (number > 0),
    key       BYTEA NOT NULL UNIQUE,
    job       BYTEA NOT NULL REFERENCES job_order (id),
    at        BIGINT NOT NULL,
    kind      TEXT COLLATE "C" NOT NULL CHECK (kind IN ('trigger', 'count', 'seen', 'plan', 'change')),
    content   TEXT COLLATE "C" NOT NULL, -- JSON: what was asked
    state     TEXT COLLATE "C" NOT NULL, -- what the job was in then
    substate  TEXT COLLATE "C",
    equipment TEXT COLLATE "C",
    good      BIGINT NOT NULL,
    scrap     BIGINT NOT NULL,
    rework    BIGINT NOT NULL,
    by_id     BYTEA NOT NULL,
    event     BYTEA NOT NULL
);
CREATE INDEX job_ledger_by_job ON job_ledger (job, number);
CREATE INDEX job_ledger_seen ON job_ledger (job, number) WHERE kind = 'seen';
-- What people counted at a work unit, in order of time.
CREATE INDEX job_ledger_counts ON job_ledger (equipment, at, number) WHERE kind = 'count';

-- When a job stood on a work unit, by the ledger. The last of times: it still does. The spans of a unit follow each other in time, also
-- where the clock was set back in between: none begins before the last one ended.
CREATE TABLE job_span (
    number  BIGINT PRIMARY KEY CHECK (number > 0),
    unit    TEXT COLLATE "C" NOT NULL,
    job     BYTEA NOT NULL REFERENCES job_order (id),
    from_at BIGINT NOT NULL,
    to_at   BIGINT NOT NULL CHECK (to_at >= from_at),
    by_id   BYTEA NOT NULL -- who put it there
);
CREATE INDEX job_span_by_unit ON job_span (unit, to_at);
CREATE INDEX job_span_by_end ON job_span (to_at, number);
CREATE INDEX job_span_by_job ON job_span (job, number);
-- Whatever a program does: one job at a time on a unit, and a job on one unit at a time.
CREATE UNIQUE INDEX job_span_one_on_a_unit ON job_span (unit) WHERE to_at = 9223372036854775807;
CREATE UNIQUE INDEX job_span_one_of_a_job ON job_span (job) WHERE to_at = 9223372036854775807;

-- What people are qualified for. It goes with the person.
CREATE TABLE person_skill (
    person BYTEA NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    skill  TEXT COLLATE "C" NOT NULL,
    until  BIGINT, -- NULL: without end
    PRIMARY KEY (person, skill)
);
