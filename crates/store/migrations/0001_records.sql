-- Ids are 16-byte blobs, times are microseconds since 1970 UTC, JSON is text.

-- One row per version of the plant model; the newest is the one in force.
CREATE TABLE plant_version (
    version   INTEGER PRIMARY KEY CHECK (version > 0),
    at        INTEGER NOT NULL,
    by_id     BLOB    NOT NULL,
    by_kind   TEXT    NOT NULL,
    reason    TEXT,
    plant     TEXT    NOT NULL, -- the whole model
    changes   TEXT    NOT NULL, -- against the version before
    event_id  BLOB    NOT NULL UNIQUE
) STRICT;

-- A tag's number inside this node. Rows are never deleted, so a number is never given twice.
CREATE TABLE tag (
    number INTEGER PRIMARY KEY AUTOINCREMENT CHECK (number <= 4294967295),
    id     BLOB NOT NULL UNIQUE
) STRICT;

-- Which path meant which tag, from when to when (until_at NULL: still).
CREATE TABLE tag_name (
    id       BLOB    NOT NULL REFERENCES tag (id),
    path     TEXT    NOT NULL,
    from_at  INTEGER NOT NULL,
    until_at INTEGER
) STRICT;
CREATE INDEX tag_name_by_id ON tag_name (id);
CREATE INDEX tag_name_by_path ON tag_name (path);
CREATE UNIQUE INDEX tag_name_now_by_id ON tag_name (id) WHERE until_at IS NULL;
CREATE UNIQUE INDEX tag_name_now_by_path ON tag_name (path) WHERE until_at IS NULL;

CREATE TABLE person (
    id            BLOB    PRIMARY KEY,
    password_hash TEXT    NOT NULL,
    enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    grants        TEXT    NOT NULL,
    created       INTEGER NOT NULL,
    last_login    INTEGER
) STRICT, WITHOUT ROWID;

-- Names stand apart, so that they can be erased while events keep the id.
CREATE TABLE person_name (
    id   BLOB PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    fold TEXT NOT NULL UNIQUE -- the name in lower case: unique without regard to case
) STRICT, WITHOUT ROWID;

CREATE TABLE token (
    id            BLOB    PRIMARY KEY,
    name          TEXT    NOT NULL,
    secret_sha256 BLOB    NOT NULL UNIQUE,
    grants        TEXT    NOT NULL,
    created       INTEGER NOT NULL,
    revoked       INTEGER,
    last_used     INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    id            BLOB    PRIMARY KEY,
    user          TEXT    NOT NULL UNIQUE,
    secret_sha256 BLOB    NOT NULL,
    client_id     TEXT    UNIQUE,
    branch        TEXT,
    publish       TEXT    NOT NULL,
    subscribe     TEXT    NOT NULL,
    enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    created       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    id_sha256 BLOB    PRIMARY KEY,
    person    BLOB    NOT NULL REFERENCES person (id) ON DELETE CASCADE,
    created   INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    expires   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_person ON session (person);
CREATE INDEX session_by_expiry ON session (expires);

-- Set-up codes and log-in links, each good for one use.
CREATE TABLE code (
    code_sha256 BLOB    PRIMARY KEY,
    purpose     TEXT    NOT NULL,
    person      BLOB    REFERENCES person (id) ON DELETE CASCADE,
    expires     INTEGER NOT NULL,
    used        INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX code_by_person ON code (person);

-- Events on their way to the records lane, in the order of their commits.
CREATE TABLE outbox (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    id       BLOB    NOT NULL UNIQUE,
    event    TEXT    NOT NULL,
    created  INTEGER NOT NULL
) STRICT;

-- How far a reader of the log has come; moved in the same transaction as what it did.
CREATE TABLE applied (
    reader TEXT    NOT NULL,
    lane   TEXT    NOT NULL,
    seq    INTEGER NOT NULL CHECK (seq >= 0),
    PRIMARY KEY (reader, lane)
) STRICT, WITHOUT ROWID;

-- The events of the records lane, ready to be searched. Derived: can be made again from the log.
CREATE TABLE timeline (
    seq      INTEGER PRIMARY KEY,
    id       BLOB    NOT NULL UNIQUE,
    at       INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    path     TEXT    NOT NULL,
    by_id    BLOB    NOT NULL,
    by_kind  TEXT    NOT NULL,
    severity INTEGER NOT NULL,
    json     TEXT    NOT NULL
) STRICT;
CREATE INDEX timeline_by_time ON timeline (at);
CREATE INDEX timeline_by_kind ON timeline (kind, seq);
CREATE INDEX timeline_by_path ON timeline (path, seq);

-- What the timeline could not get from the log.
CREATE TABLE timeline_gap (
    from_seq INTEGER PRIMARY KEY,
    to_seq   INTEGER NOT NULL,
    reason   TEXT    NOT NULL
) STRICT;
