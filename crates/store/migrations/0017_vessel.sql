-- Vessels in which lots mix: what is in each now, and every flow in and out of it. Quantities are millionths, times microseconds UTC.
-- Rows of flows are never changed or deleted.

CREATE TABLE trace_vessel (
    vessel  INTEGER PRIMARY KEY CHECK (vessel > 0), -- word
    turn    INTEGER NOT NULL CHECK (turn >= 0), -- of the last flow
    at      INTEGER NOT NULL, -- when that was
    level   INTEGER NOT NULL CHECK (level >= 0), -- how much is in it
    lots    INTEGER NOT NULL CHECK (lots >= 0), -- of how many lots
    content TEXT    NOT NULL -- a JSON object: what is in it, as the flows give it
) STRICT;

-- The turns of a vessel count from 1 and their times never go back. `told` is when it was, where that was told late.
CREATE TABLE trace_flow (
    vessel   INTEGER NOT NULL, -- word
    turn     INTEGER NOT NULL CHECK (turn > 0),
    at       INTEGER NOT NULL,
    told     INTEGER NOT NULL,
    kind     INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 5), -- fill, draw, empty, loss, surplus, traces
    plug     INTEGER NOT NULL CHECK (plug IN (0, 1)), -- first in first out; else ideally mixed
    item     INTEGER NOT NULL, -- key of what came in, or of what became traces; 0: none
    into_key INTEGER NOT NULL, -- key of what it was drawn into, or of what stands for traces; 0: none
    quantity INTEGER NOT NULL CHECK (quantity >= 0),
    level    INTEGER NOT NULL CHECK (level >= 0), -- how much was in it afterwards
    place    INTEGER NOT NULL, -- word: from where, to where; 0: nobody has said
    job      INTEGER, -- word
    by_id    INTEGER, -- word
    why      TEXT    NOT NULL,
    content  TEXT, -- what was in it afterwards; with every 64th
    PRIMARY KEY (vessel, turn)
) STRICT, WITHOUT ROWID;
CREATE INDEX trace_flow_by_told ON trace_flow (vessel, told);
-- What was in it at a time.
CREATE INDEX trace_flow_by_at ON trace_flow (vessel, at, turn);
-- Whether something was drawn into it already.
CREATE INDEX trace_flow_by_into ON trace_flow (into_key, vessel);
