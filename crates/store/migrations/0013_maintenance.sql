-- Maintenance orders, who worked on them, what was used, and the turns of plans. Ids are 16-byte UUIDv7, quantities are millionths, times
-- are microseconds since 1970 UTC; the last of times stands for what is not over. The words of states and kinds are `andon-mes`'s.

CREATE TABLE maintenance_order (
    id           BLOB    PRIMARY KEY, -- sorts by when it was made
    number       TEXT    NOT NULL UNIQUE,
    ordinal      INTEGER UNIQUE CHECK (ordinal > 0), -- of a number that the node gave
    origin       TEXT    UNIQUE, -- the occurrence of an alarm, or the turn of a plan: one order comes of one
    kind         TEXT    NOT NULL,
    equipment    TEXT    NOT NULL,
    title        TEXT    NOT NULL,
    note         TEXT    NOT NULL,
    priority     INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 9),
    due          INTEGER,
    plan         TEXT,
    turn         INTEGER,
    alarm        TEXT,
    occurrence   BLOB,
    source       TEXT    NOT NULL, -- person, alarm, plan
    state        TEXT    NOT NULL,
    substate     TEXT,
    is_open      INTEGER NOT NULL CHECK (is_open IN (0, 1)),
    failed       INTEGER, -- NULL: nothing failed
    restored     INTEGER NOT NULL,
    code         TEXT,
    cause        TEXT    NOT NULL,
    remedy       TEXT    NOT NULL,
    estimated_us INTEGER,
    skills       TEXT    NOT NULL, -- JSON: names
    instructions TEXT    NOT NULL, -- JSON: names
    parts        TEXT    NOT NULL, -- JSON: what it is planned to need
    fold         TEXT    NOT NULL, -- number, title and equipment in lower case: what a search looks at
    created      INTEGER NOT NULL,
    created_by   BLOB    NOT NULL,
    started      INTEGER,
    ended        INTEGER,
    version      INTEGER NOT NULL CHECK (version > 0),
    CHECK (failed IS NULL OR failed <= restored)
) STRICT, WITHOUT ROWID;
CREATE INDEX maintenance_order_open ON maintenance_order (is_open, id);
CREATE INDEX maintenance_order_by_plan ON maintenance_order (plan, id) WHERE plan IS NOT NULL;
CREATE INDEX maintenance_order_open_alarm ON maintenance_order (alarm, id) WHERE is_open = 1 AND alarm IS NOT NULL;
CREATE INDEX maintenance_failure ON maintenance_order (restored) WHERE failed IS NOT NULL;

-- All that happened to orders. Never changed, never deleted. The key is given by who asks, so that what is asked twice is done once.
CREATE TABLE maintenance_ledger (
    number   INTEGER PRIMARY KEY CHECK (number > 0),
    key      BLOB    NOT NULL UNIQUE,
    order_id BLOB    NOT NULL REFERENCES maintenance_order (id),
    at       INTEGER NOT NULL,
    kind     TEXT    NOT NULL,
    content  TEXT    NOT NULL, -- JSON: what was asked
    state    TEXT    NOT NULL, -- what the order was in then
    substate TEXT,
    by_id    BLOB    NOT NULL,
    event    BLOB -- NULL: it was there already, and nothing was done
) STRICT;
CREATE INDEX maintenance_ledger_by_order ON maintenance_ledger (order_id, number);
CREATE INDEX maintenance_ledger_seen ON maintenance_ledger (order_id, number) WHERE kind = 'seen';

-- When people worked on orders. Equipment and kind are the order's, so that a window is added up without it.
CREATE TABLE maintenance_work (
    number    INTEGER PRIMARY KEY CHECK (number > 0),
    order_id  BLOB    NOT NULL REFERENCES maintenance_order (id),
    equipment TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    person    BLOB    NOT NULL,
    from_at   INTEGER NOT NULL,
    to_at     INTEGER NOT NULL CHECK (to_at >= from_at)
) STRICT;
CREATE INDEX maintenance_work_by_order ON maintenance_work (order_id, number);
CREATE INDEX maintenance_work_by_end ON maintenance_work (to_at);
CREATE UNIQUE INDEX maintenance_work_once ON maintenance_work (order_id, person) WHERE to_at = 9223372036854775807;

-- What was used; '' where there is no lot or serial number.
CREATE TABLE maintenance_part (
    order_id BLOB    NOT NULL REFERENCES maintenance_order (id),
    material TEXT    NOT NULL,
    lot      TEXT    NOT NULL,
    serial   TEXT    NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (order_id, material, lot, serial)
) STRICT, WITHOUT ROWID;

-- The turn in which each plan is. Kept when a plan is taken out of the model: it goes on when it comes back.
CREATE TABLE maintenance_turn (
    plan       TEXT    PRIMARY KEY,
    turn       INTEGER NOT NULL CHECK (turn > 0),
    since      INTEGER NOT NULL,
    due_since  INTEGER, -- when it was found to be due
    due_by     TEXT,
    order_id   BLOB,    -- the last order of this turn
    last_order BLOB,    -- the order that ended the turn before
    occurrence BLOB     -- the last alarm that made it due
) STRICT, WITHOUT ROWID;
