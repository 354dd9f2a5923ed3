-- Where things come from and where they go: lots, serial units, containers; what went into what; where they are; who said what may be
-- done with them. Quantities are millionths of the material's unit, times microseconds UTC. Rows are never deleted, but for
-- findings beyond the newest hundred thousand.
--
-- Ten million edges are read by the thousand, so items are named by small numbers (keys) in here and by UUIDv7 outside, and texts that
-- repeat (materials, places, jobs, people) by the numbers of words.

CREATE TABLE trace_word (
    number BIGINT PRIMARY KEY CHECK (number > 0),
    text   TEXT COLLATE "C" NOT NULL UNIQUE
);

CREATE TABLE trace_item (
    key      BIGINT PRIMARY KEY CHECK (key > 0),
    id       BYTEA NOT NULL UNIQUE CHECK (length(id) = 16),
    kind     BIGINT NOT NULL CHECK (kind BETWEEN 0 AND 3), -- lot, sublot, unit, container
    material BIGINT NOT NULL, -- word
    number   TEXT COLLATE "C" NOT NULL,
    revision BIGINT, -- word
    made     BIGINT CHECK (made >= 0), -- how much there was to begin with; null: nobody has said
    received BIGINT NOT NULL DEFAULT 0 CHECK (received >= 0), -- by splits and merges: sum of the edges that add
    consumed BIGINT NOT NULL DEFAULT 0 CHECK (consumed >= 0), -- sum of the edges that take
    ins      BIGINT NOT NULL DEFAULT 0, -- edges to it
    outs     BIGINT NOT NULL DEFAULT 0, -- edges from it
    state    BIGINT NOT NULL CHECK (state BETWEEN 0 AND 4), -- Released, Quarantine, Hold, Scrapped, Shipped
    place    BIGINT NOT NULL DEFAULT 0, -- word; 0: nowhere known, -1: in several, see trace_stock
    made_at  BIGINT NOT NULL,
    job      BIGINT -- word
);
CREATE UNIQUE INDEX trace_item_name ON trace_item (material, kind, number);
CREATE INDEX trace_item_by_number ON trace_item (number);
-- Lists are read from the newest back.
CREATE INDEX trace_item_by_material ON trace_item (material, key);
CREATE INDEX trace_item_by_state ON trace_item (state, key);

-- What went into what, and when it was taken out again. Clustered for the way forward; the index beside it holds all that the way
-- back needs.
CREATE TABLE trace_edge (
    from_key    BIGINT NOT NULL,
    to_key      BIGINT NOT NULL CHECK (to_key <> from_key),
    at          BIGINT NOT NULL,
    position    BIGINT NOT NULL, -- word; 0: none
    removed_at  BIGINT CHECK (removed_at > at),
    quantity    BIGINT NOT NULL CHECK (quantity >= 0),
    adds        BIGINT NOT NULL CHECK (adds IN (0, 1)), -- a split or merge: what it went into is more by as much
    given_back  BIGINT NOT NULL DEFAULT 0 CHECK (given_back IN (0, 1)), -- when taken out, it went back to where it came from
    job         BIGINT, -- word
    equipment   BIGINT, -- word
    by_id       BIGINT, -- word
    replaced_by BIGINT, -- key
    removed_by  BIGINT, -- word
    place       BIGINT NOT NULL DEFAULT 0, -- word: where it lay before, and no longer does; 0: nobody knows
    PRIMARY KEY (from_key, to_key, at, position)
);
CREATE INDEX trace_edge_back ON trace_edge (to_key, from_key, at, position, removed_at);

-- Movements. What lies where is their sum, less what was used from there, with what was split off there.
CREATE TABLE trace_move (
    item       BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    from_place BIGINT NOT NULL, -- word; 0: from outside, or newly made
    to_place   BIGINT NOT NULL CHECK (to_place <> from_place), -- word; 0: to outside, or used up
    quantity   BIGINT NOT NULL CHECK (quantity > 0),
    by_id      BIGINT, -- word
    PRIMARY KEY (item, at, from_place, to_place)
);
CREATE TABLE trace_stock (
    item     BIGINT NOT NULL,
    place    BIGINT NOT NULL CHECK (place > 0),
    quantity BIGINT NOT NULL CHECK (quantity <> 0), -- below zero: more was taken away than was known to be there
    PRIMARY KEY (item, place)
);
CREATE INDEX trace_stock_by_place ON trace_stock (place, item);

-- Who said when and why what may be done with an item.
CREATE TABLE trace_state (
    item  BIGINT NOT NULL,
    at    BIGINT NOT NULL,
    state BIGINT NOT NULL CHECK (state BETWEEN 0 AND 4),
    by_id BIGINT, -- word
    why   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (item, at)
);

-- Units at stations.
CREATE TABLE trace_pass (
    unit      BIGINT NOT NULL,
    at        BIGINT NOT NULL,
    equipment BIGINT NOT NULL, -- word
    job       BIGINT, -- word
    operation BIGINT, -- word
    passed    BIGINT CHECK (passed IN (0, 1)), -- null: not said
    measures  TEXT COLLATE "C" NOT NULL, -- a JSON object
    PRIMARY KEY (unit, at, equipment)
);
CREATE INDEX trace_pass_by_equipment ON trace_pass (equipment, at);

-- Birth certificates as they were signed. `turn` counts those of a unit from 1; the last is the one that holds.
CREATE TABLE trace_certificate (
    unit      BIGINT NOT NULL,
    turn      BIGINT NOT NULL CHECK (turn > 0),
    number    TEXT COLLATE "C" NOT NULL UNIQUE,
    issued_at BIGINT NOT NULL,
    sha256    BYTEA NOT NULL CHECK (length(sha256) = 32),
    key_id    TEXT COLLATE "C" NOT NULL,
    bytes     BYTEA NOT NULL,
    rowid     BIGINT GENERATED ALWAYS AS IDENTITY UNIQUE, -- in the order of writing
    PRIMARY KEY (unit, turn)
);
CREATE FUNCTION trace_certificate_stays() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'a certificate is never changed and never deleted'; END $$;
CREATE TRIGGER trace_certificate_is_not_changed BEFORE UPDATE OR DELETE ON trace_certificate
    FOR EACH ROW EXECUTE FUNCTION trace_certificate_stays();

-- What was recorded although it cannot be right, or refused although a machine said it. For people to look into.
CREATE TABLE trace_finding (
    number   BIGINT PRIMARY KEY CHECK (number > 0),
    what     TEXT COLLATE "C" NOT NULL,
    at       BIGINT NOT NULL,
    item     BIGINT NOT NULL, -- key; 0: none
    other    BIGINT NOT NULL, -- key; 0: none
    text     TEXT COLLATE "C" NOT NULL,
    UNIQUE (what, item, other, at, text)
);

-- Which changes of people have been made, so that one that is sent again is not made again, and no other is made under its key.
CREATE TABLE trace_change (
    key     BYTEA PRIMARY KEY,
    content BYTEA NOT NULL CHECK (length(content) = 32), -- the digest of what was asked for
    event   BYTEA NOT NULL,
    at      BIGINT NOT NULL
);

-- Units that passed a last station, and what became of their certificate.
CREATE TABLE trace_finished (
    unit      BIGINT PRIMARY KEY,
    at        BIGINT NOT NULL,
    equipment BIGINT NOT NULL, -- word
    state     BIGINT NOT NULL CHECK (state BETWEEN 0 AND 2), -- due, issued, not possible
    why       TEXT COLLATE "C" NOT NULL -- why it is not possible
);
CREATE INDEX trace_finished_due ON trace_finished (at, unit) WHERE state = 0;

-- What stations said that belongs to no unit yet, as far as the lane is dealt with.
CREATE TABLE trace_station (
    equipment TEXT COLLATE "C" PRIMARY KEY,
    heard     TEXT COLLATE "C" NOT NULL -- a JSON object
);

-- Units that were given a credential to connect with.
CREATE TABLE trace_identity (
    unit   BIGINT PRIMARY KEY,
    device BYTEA NOT NULL CHECK (length(device) = 16),
    at     BIGINT NOT NULL,
    by_id  BIGINT -- word
);
