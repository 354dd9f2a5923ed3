-- Manufacturing execution. What stands in blobs is encoded by `andon-mes`; each begins with its version.

-- The numbers by which those blobs name units, nodes of the tree and reasons. Rows are never deleted, so a number is never given twice.
CREATE TABLE floor_number (
    kind   TEXT    NOT NULL, -- node (work units too), reason
    name   TEXT    NOT NULL,
    number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 4294967295),
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX floor_number_once ON floor_number (kind, number);

-- An hour of a work unit: what was recorded, and what it comes to. `hour` counts from 1970.
CREATE TABLE floor_hour (
    unit     INTEGER NOT NULL,
    hour     INTEGER NOT NULL,
    recorded BLOB    NOT NULL,
    derived  BLOB    NOT NULL,
    PRIMARY KEY (unit, hour)
) STRICT, WITHOUT ROWID;

-- The totals of a node over an hour (level 0), a day (1), or 32 days (2); `number` counts from 1970.
CREATE TABLE floor_slot (
    node   INTEGER NOT NULL,
    level  INTEGER NOT NULL CHECK (level IN (0, 1, 2)),
    number INTEGER NOT NULL,
    totals BLOB    NOT NULL,
    PRIMARY KEY (node, level, number)
) STRICT, WITHOUT ROWID;

-- What people put right. Never changed, never deleted: a correction is taken back by another.
CREATE TABLE floor_correction (
    number  INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 4294967295),
    unit    INTEGER NOT NULL,
    from_at INTEGER NOT NULL,
    to_at   INTEGER NOT NULL CHECK (to_at > from_at),
    change  TEXT    NOT NULL, -- JSON
    by_id   BLOB    NOT NULL,
    key     BLOB    NOT NULL UNIQUE, -- by which a request that comes twice is known
    at      INTEGER NOT NULL,
    event   BLOB    NOT NULL UNIQUE
) STRICT;
CREATE INDEX floor_correction_by_unit ON floor_correction (unit, to_at);

-- What each counter showed at the beginning of the first hour that is not kept.
CREATE TABLE floor_counter (
    tag   INTEGER PRIMARY KEY,
    shown TEXT    NOT NULL -- JSON
) STRICT;

-- How far the floor has come: everything before `kept_until` (µs since 1970) is above; of what is after it, the lane of samples speaks from the
-- frame `first_seq` on; what came late in frames up to `seen_seq` is above too.
CREATE TABLE floor_progress (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    kept_until INTEGER NOT NULL,
    first_seq  INTEGER NOT NULL,
    seen_seq   INTEGER NOT NULL
) STRICT;
