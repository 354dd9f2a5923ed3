-- Where things come from and where they go: lots, serial units, containers; what went into what; where they are; who said what may be
-- done with them. Quantities are millionths of the material's unit, times microseconds UTC. Rows are never deleted, but for
-- findings beyond the newest hundred thousand.
--
-- Ten million edges are read by the thousand, so items are named by small numbers (keys) in here and by UUIDv7 outside, and texts that
-- repeat (materials, places, jobs, people) by the numbers of words.

CREATE TABLE trace_word (
    number INTEGER PRIMARY KEY CHECK (number > 0),
    text   TEXT    NOT NULL UNIQUE
) STRICT;

CREATE TABLE trace_item (
    key      INTEGER PRIMARY KEY CHECK (key > 0),
    id       BLOB    NOT NULL UNIQUE CHECK (length(id) = 16),
    kind     INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3), -- lot, sublot, unit, container
    material INTEGER NOT NULL, -- word
    number   TEXT    NOT NULL,
    revision INTEGER, -- word
    made     INTEGER CHECK (made >= 0), -- how much there was to begin with; null: nobody has said
    received INTEGER NOT NULL DEFAULT 0 CHECK (received >= 0), -- by splits and merges: sum of the edges that add
    consumed INTEGER NOT NULL DEFAULT 0 CHECK (consumed >= 0), -- sum of the edges that take
    ins      INTEGER NOT NULL DEFAULT 0, -- edges to it
    outs     INTEGER NOT NULL DEFAULT 0, -- edges from it
    state    INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4), -- Released, Quarantine, Hold, Scrapped, Shipped
    place    INTEGER NOT NULL DEFAULT 0, -- word; 0: nowhere known, -1: in several, see trace_stock
    made_at  INTEGER NOT NULL,
    job      INTEGER -- word
) STRICT;
CREATE UNIQUE INDEX trace_item_name ON trace_item (material, kind, number);
CREATE INDEX trace_item_by_number ON trace_item (number);
-- Lists are read from the newest back: each entry of these ends with the key.
CREATE INDEX trace_item_by_material ON trace_item (material);
CREATE INDEX trace_item_by_state ON trace_item (state);

-- What went into what, and when it was taken out again. Clustered for the way forward; the index beside it holds all that the way
-- back needs.
CREATE TABLE trace_edge (
    from_key    INTEGER NOT NULL,
    to_key      INTEGER NOT NULL CHECK (to_key <> from_key),
    at          INTEGER NOT NULL,
    position    INTEGER NOT NULL, -- word; 0: none
    removed_at  INTEGER CHECK (removed_at > at),
    quantity    INTEGER NOT NULL CHECK (quantity >= 0),
    adds        INTEGER NOT NULL CHECK (adds IN (0, 1)), -- a split or merge: what it went into is more by as much
    given_back  INTEGER NOT NULL DEFAULT 0 CHECK (given_back IN (0, 1)), -- when taken out, it went back to where it came from
    job         INTEGER, -- word
    equipment   INTEGER, -- word
    by_id       INTEGER, -- word
    replaced_by INTEGER, -- key
    removed_by  INTEGER, -- word
    place       INTEGER NOT NULL DEFAULT 0, -- word: where it lay before, and no longer does; 0: nobody knows
    PRIMARY KEY (from_key, to_key, at, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_edge_back ON trace_edge (to_key, from_key, at, position, removed_at);

-- Movements. What lies where is their sum, less what was used from there, with what was split off there.
CREATE TABLE trace_move (
    item       INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    from_place INTEGER NOT NULL, -- word; 0: from outside, or newly made
    to_place   INTEGER NOT NULL CHECK (to_place <> from_place), -- word; 0: to outside, or used up
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    by_id      INTEGER, -- word
    PRIMARY KEY (item, at, from_place, to_place)
) STRICT, WITHOUT ROWID;
CREATE TABLE trace_stock (
    item     INTEGER NOT NULL,
    place    INTEGER NOT NULL CHECK (place > 0),
    quantity INTEGER NOT NULL CHECK (quantity <> 0), -- below zero: more was taken away than was known to be there
    PRIMARY KEY (item, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_stock_by_place ON trace_stock (place, item);

-- Who said when and why what may be done with an item.
CREATE TABLE trace_state (
    item  INTEGER NOT NULL,
    at    INTEGER NOT NULL,
    state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    by_id INTEGER, -- word
    why   TEXT    NOT NULL,
    PRIMARY KEY (item, at)
) STRICT, WITHOUT ROWID;

-- Units at stations.
CREATE TABLE trace_pass (
    unit      INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    equipment INTEGER NOT NULL, -- word
    job       INTEGER, -- word
    operation INTEGER, -- word
    passed    INTEGER CHECK (passed IN (0, 1)), -- null: not said
    measures  TEXT    NOT NULL, -- a JSON object
    PRIMARY KEY (unit, at, equipment)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_pass_by_equipment ON trace_pass (equipment, at);

-- Birth certificates as they were signed. `turn` counts those of a unit from 1; the last is the one that holds.
CREATE TABLE trace_certificate (
    unit      INTEGER NOT NULL,
    turn      INTEGER NOT NULL CHECK (turn > 0),
    number    TEXT    NOT NULL UNIQUE,
    issued_at INTEGER NOT NULL,
    sha256    BLOB    NOT NULL CHECK (length(sha256) = 32),
    key_id    TEXT    NOT NULL,
    bytes     BLOB    NOT NULL,
    PRIMARY KEY (unit, turn)
) STRICT;
CREATE TRIGGER trace_certificate_is_not_changed BEFORE UPDATE ON trace_certificate
BEGIN SELECT RAISE(ABORT, 'a certificate is never changed'); END;
CREATE TRIGGER trace_certificate_is_not_deleted BEFORE DELETE ON trace_certificate
BEGIN SELECT RAISE(ABORT, 'a certificate is never deleted'); END;

-- What was recorded although it cannot be right, or refused although a machine said it. For people to look into.
CREATE TABLE trace_finding (
    number   INTEGER PRIMARY KEY CHECK (number > 0),
    what     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    item     INTEGER NOT NULL, -- key; 0: none
    other    INTEGER NOT NULL, -- key; 0: none
    text     TEXT    NOT NULL,
    UNIQUE (what, item, other, at, text)
) STRICT;

-- Which changes of people have been made, so that one that is sent again is not made again, and no other is made under its key.
CREATE TABLE trace_change (
    key     BLOB    PRIMARY KEY,
    content BLOB    NOT NULL CHECK (length(content) = 32), -- the digest of what was asked for
    event   BLOB    NOT NULL,
    at      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Units that passed a last station, and what became of their certificate.
CREATE TABLE trace_finished (
    unit      INTEGER PRIMARY KEY,
    at        INTEGER NOT NULL,
    equipment INTEGER NOT NULL, -- word
    state     INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2), -- due, issued, not possible
    why       TEXT    NOT NULL -- why it is not possible
) STRICT;
CREATE INDEX trace_finished_due ON trace_finished (at, unit) WHERE state = 0;

-- What stations said that belongs to no unit yet, as far as the lane is dealt with.
CREATE TABLE trace_station (
    equipment TEXT PRIMARY KEY,
    heard     TEXT NOT NULL -- a JSON object
) STRICT, WITHOUT ROWID;

-- Units that were given a credential to connect with.
CREATE TABLE trace_identity (
    unit   INTEGER PRIMARY KEY,
    device BLOB    NOT NULL CHECK (length(device) = 16),
    at     INTEGER NOT NULL,
    by_id  INTEGER -- word
) STRICT;
