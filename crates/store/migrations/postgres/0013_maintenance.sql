-- Maintenance orders, who worked on them, what was used, and the turns of plans. Ids are 16-byte UUIDv7, quantities are millionths, times
-- are microseconds since 1970 UTC; the last of times stands for what is not over. The words of states and kinds are `andon-mes`'s.

CREATE TABLE maintenance_order (
    id           BYTEA    PRIMARY KEY, -- sorts by when it was made
    number       TEXT COLLATE "C"    NOT NULL UNIQUE,
    ordinal      BIGINT UNIQUE CHECK (ordinal > 0), -- of a number that the node gave
    origin       TEXT COLLATE "C"    UNIQUE, -- the occurrence of an alarm, or the turn of a plan: one order comes of one
    kind         TEXT COLLATE "C"    NOT NULL,
    equipment    TEXT COLLATE "C"    NOT NULL,
    title        TEXT COLLATE "C"    NOT NULL,
    note         TEXT COLLATE "C"    NOT NULL,
    priority     BIGINT NOT NULL CHECK (priority BETWEEN 1 AND 9),
    due          BIGINT,
    plan         TEXT COLLATE "C",
    turn         BIGINT,
    alarm        TEXT COLLATE "C",
    occurrence   BYTEA,
    source       TEXT COLLATE "C"    NOT NULL, -- person, alarm, plan
    state        TEXT COLLATE "C"    NOT NULL,
    substate     TEXT COLLATE "C",
    is_open      BIGINT NOT NULL CHECK (is_open IN (0, 1)),
    failed       BIGINT, -- NULL: nothing failed
    restored     BIGINT NOT NULL,
    code         TEXT COLLATE "C",
    cause        TEXT COLLATE "C"    NOT NULL,
    remedy       TEXT COLLATE "C"    NOT NULL,
    estimated_us BIGINT,
    skills       TEXT COLLATE "C"    NOT NULL, -- JSON: names
    instructions TEXT COLLATE "C"    NOT NULL, -- JSON: names
    parts        TEXT COLLATE "C"    NOT NULL, -- JSON: what it is planned to need
    fold         TEXT COLLATE "C"    NOT NULL, -- number, title and equipment in lower case: what a search looks at
    created      BIGINT NOT NULL,
    created_by   BYTEA    NOT NULL,
    started      BIGINT,
    ended        BIGINT,
    version      BIGINT NOT NULL CHECK (version > 0),
    CHECK (failed IS NULL OR failed <= restored)
);
CREATE INDEX maintenance_order_open ON maintenance_order (is_open, id);
CREATE INDEX maintenance_order_by_plan ON maintenance_order (plan, id) WHERE plan IS NOT NULL;
CREATE INDEX maintenance_order_open_alarm ON maintenance_order (alarm, id) WHERE is_open = 1 AND alarm IS NOT NULL;
CREATE INDEX maintenance_failure ON maintenance_order (restored) WHERE failed IS NOT NULL;

-- All that happened to orders. Never changed, never deleted. The key is given by who asks, so that what is asked twice is done once.
CREATE TABLE maintenance_ledger (
    number   BIGINT PRIMARY KEY CHECK (number > 0),
    key      BYTEA    NOT NULL UNIQUE,
    order_id BYTEA    NOT NULL REFERENCES maintenance_order (id),
    at       BIGINT NOT NULL,
    kind     TEXT COLLATE "C"    NOT NULL,
    content  TEXT COLLATE "C"    NOT NULL, -- JSON: what was asked
    state    TEXT COLLATE "C"    NOT NULL, -- what the order was in then
    substate TEXT COLLATE "C",
    by_id    BYTEA    NOT NULL,
    event    BYTEA -- NULL: it was there already, and nothing was done
);
CREATE INDEX maintenance_ledger_by_order ON maintenance_ledger (order_id, number);
CREATE INDEX maintenance_ledger_seen ON maintenance_ledger (order_id, number) WHERE kind = 'seen';

-- When people worked on orders. Equipment and kind are the order's, so that a window is added up without it.
CREATE TABLE maintenance_work (
    number    BIGINT PRIMARY KEY CHECK (number > 0),
    order_id  BYTEA    NOT NULL REFERENCES maintenance_order (id),
    equipment TEXT COLLATE "C"    NOT NULL,
    kind      TEXT COLLATE "C"    NOT NULL,
    person    BYTEA    NOT NULL,
    from_at   BIGINT NOT NULL,
    to_at     BIGINT NOT NULL CHECK (to_at >= from_at)
);
CREATE INDEX maintenance_work_by_order ON maintenance_work (order_id, number);
CREATE INDEX maintenance_work_by_end ON maintenance_work (to_at);
CREATE UNIQUE INDEX maintenance_work_once ON maintenance_work (order_id, person) WHERE to_at = 9223372036854775807;

-- What was used; '' where there is no lot or serial number.
CREATE TABLE maintenance_part (
    order_id BYTEA    NOT NULL REFERENCES maintenance_order (id),
    material TEXT COLLATE "C"    NOT NULL,
    lot      TEXT COLLATE "C"    NOT NULL,
    serial   TEXT COLLATE "C"    NOT NULL,
    quantity BIGINT NOT NULL CHECK (quantity >= 0),
    PRIMARY KEY (order_id, material, lot, serial)
);

-- The turn in which each plan is. Kept when a plan is taken out of the model: it goes on when it comes back.
CREATE TABLE maintenance_turn (
    plan       TEXT COLLATE "C"    PRIMARY KEY,
    turn       BIGINT NOT NULL CHECK (turn > 0),
    since      BIGINT NOT NULL,
    due_since  BIGINT, -- when it was found to be due
    due_by     TEXT COLLATE "C",
    order_id   BYTEA,    -- the last order of this turn
    last_order BYTEA,    -- the order that ended the turn before
    occurrence BYTEA     -- the last alarm that made it due
);
