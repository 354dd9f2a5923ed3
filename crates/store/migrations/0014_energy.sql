-- What meters counted. Energy is in millionths of a kWh, spans are in microseconds; a quarter hour is told by its number since 1970 UTC.

CREATE TABLE energy_meter (
    number INTEGER PRIMARY KEY,
    name   TEXT    NOT NULL UNIQUE,
    heard  TEXT    NOT NULL -- JSON of andon-mes: what reading goes on from
) STRICT, WITHOUT ROWID;

CREATE TABLE energy_quarter (
    meter      INTEGER NOT NULL REFERENCES energy_meter (number),
    quarter    INTEGER NOT NULL,
    energy     INTEGER NOT NULL,
    estimated  INTEGER NOT NULL, -- how much of the energy is
    from_us    INTEGER NOT NULL, -- from where in the quarter hour it is of
    to_us      INTEGER NOT NULL,
    metered_us INTEGER NOT NULL, -- for how long of that the meter was heard
    PRIMARY KEY (meter, quarter)
) STRICT, WITHOUT ROWID;
