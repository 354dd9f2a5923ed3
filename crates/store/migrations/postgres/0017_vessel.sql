-- Vessels in which lots mix: what is in each now, and every flow in and out of it. Quantities are millionths, times microseconds UTC.
-- Rows of flows are never changed or deleted.

CREATE TABLE trace_vessel (
    vessel  BIGINT PRIMARY KEY CHECK (vessel > 0), -- word
    turn    BIGINT NOT NULL CHECK (turn >= 0), -- of the last flow
    at      BIGINT NOT NULL, -- when that was
    level   BIGINT NOT NULL CHECK (level >= 0), -- how much is in it
    lots    BIGINT NOT NULL CHECK (lots >= 0), -- of how many lots
    content TEXT COLLATE "C" NOT NULL -- a JSON object: what is in it, as the flows give it
);

-- The turns of a vessel count from 1 and their times never go back. `told` is when it was, where that was told late.
CREATE TABLE trace_flow (
    vessel   BIGINT NOT NULL, -- word
    turn     BIGINT NOT NULL CHECK (turn > 0),
    at       BIGINT NOT NULL,
    told     BIGINT NOT NULL,
    kind     BIGINT NOT NULL CHECK (kind BETWEEN 0 AND 5), -- fill, draw, empty, loss, surplus, traces
    plug     BIGINT NOT NULL CHECK (plug IN (0, 1)), -- first in first out; else ideally mixed
    item     BIGINT NOT NULL, -- key of what came in, or of what became traces; 0: none
    into_key BIGINT NOT NULL, -- key of what it was drawn into, or of what stands for traces; 0: none
    quantity BIGINT NOT NULL CHECK (quantity >= 0),
    level    BIGINT NOT NULL CHECK (level >= 0), -- how much was in it afterwards
    place    BIGINT NOT NULL, -- word: from where, to where; 0: nobody has said
    job      BIGINT, -- word
    by_id    BIGINT, -- word
    why      TEXT COLLATE "C" NOT NULL,
    content  TEXT COLLATE "C", -- what was in it afterwards; with every 64th
    PRIMARY KEY (vessel, turn)
);
CREATE INDEX trace_flow_by_told ON trace_flow (vessel, told);
-- What was in it at a time.
CREATE INDEX trace_flow_by_at ON trace_flow (vessel, at, turn);
-- Whether something was drawn into it already.
CREATE INDEX trace_flow_by_into ON trace_flow (into_key, vessel);
