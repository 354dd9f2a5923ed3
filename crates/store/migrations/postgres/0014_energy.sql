-- What meters counted. Energy is in millionths of a kWh, spans are in microseconds; a quarter hour is told by its number since 1970 UTC.

CREATE TABLE energy_meter (
    number BIGINT PRIMARY KEY,
    name   TEXT COLLATE "C" NOT NULL UNIQUE,
    heard  TEXT COLLATE "C" NOT NULL -- JSON of andon-mes: what reading goes on from
);

CREATE TABLE energy_quarter (
    meter      BIGINT NOT NULL REFERENCES energy_meter (number),
    quarter    BIGINT NOT NULL,
    energy     BIGINT NOT NULL,
    estimated  BIGINT NOT NULL, -- how much of the energy is
    from_us    BIGINT NOT NULL, -- from where in the quarter hour it is of
    to_us      BIGINT NOT NULL,
    metered_us BIGINT NOT NULL, -- for how long of that the meter was heard
    PRIMARY KEY (meter, quarter)
);
