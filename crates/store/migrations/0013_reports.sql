-- Figures of hours and days for whoever asks in SQL, and views of the records. Their names and columns are a promise (docs/manual/records.md): one
-- is added by a later migration, and none is changed or taken away.

-- What the totals of an hour (level 0) or a day (1) of a node come to: times in microseconds, amounts in millionths, and the planned run
-- time of what was made in microseconds. Written with the totals; of older ones a node makes it at its start.
CREATE TABLE floor_figure (
    node          INTEGER NOT NULL,
    level         INTEGER NOT NULL CHECK (level IN (0, 1)),
    number        INTEGER NOT NULL,
    production    INTEGER NOT NULL,
    setup         INTEGER NOT NULL,
    delay         INTEGER NOT NULL,
    minor_stop    INTEGER NOT NULL,
    idle          INTEGER NOT NULL,
    unknown       INTEGER NOT NULL,
    planned_down  INTEGER NOT NULL,
    off_shift     INTEGER NOT NULL,
    good          INTEGER NOT NULL,
    scrap         INTEGER NOT NULL,
    rework        INTEGER NOT NULL,
    work_produced INTEGER NOT NULL,
    work_good     INTEGER NOT NULL,
    PRIMARY KEY (node, level, number)
) STRICT, WITHOUT ROWID;

CREATE VIEW report_orders AS
SELECT
    lower(printf('%s-%s-%s-%s-%s', substr(hex(o.id), 1, 8), substr(hex(o.id), 9, 4), substr(hex(o.id), 13, 4), substr(hex(o.id), 17, 4), substr(hex(o.id), 21, 12))) AS id,
    o.number,
    o.material,
    o.revision,
    o.title,
    o.quantity / 1000000.0 AS quantity,
    o.unit,
    o.state,
    o.priority,
    strftime('%Y-%m-%dT%H:%M:%S', o.due / 1000000, 'unixepoch') || printf('.%06dZ', o.due % 1000000) AS due,
    o.source,
    o.note,
    strftime('%Y-%m-%dT%H:%M:%S', o.created / 1000000, 'unixepoch') || printf('.%06dZ', o.created % 1000000) AS created
FROM work_order o;

CREATE VIEW report_jobs AS
SELECT
    lower(printf('%s-%s-%s-%s-%s', substr(hex(j.id), 1, 8), substr(hex(j.id), 9, 4), substr(hex(j.id), 13, 4), substr(hex(j.id), 17, 4), substr(hex(j.id), 21, 12))) AS id,
    j.number,
    o.number AS order_number,
    o.material,
    j.operation,
    j.title,
    j.equipment,
    j.state,
    j.substate,
    j.quantity / 1000000.0 AS quantity,
    j.good / 1000000.0 AS booked_good,
    j.scrap / 1000000.0 AS booked_scrap,
    j.rework / 1000000.0 AS booked_rework,
    strftime('%Y-%m-%dT%H:%M:%S', j.planned_start / 1000000, 'unixepoch') || printf('.%06dZ', j.planned_start % 1000000) AS planned_start,
    strftime('%Y-%m-%dT%H:%M:%S', j.planned_end / 1000000, 'unixepoch') || printf('.%06dZ', j.planned_end % 1000000) AS planned_end,
    strftime('%Y-%m-%dT%H:%M:%S', j.started / 1000000, 'unixepoch') || printf('.%06dZ', j.started % 1000000) AS started,
    strftime('%Y-%m-%dT%H:%M:%S', j.ended / 1000000, 'unixepoch') || printf('.%06dZ', j.ended % 1000000) AS ended
FROM job_order j JOIN work_order o ON o.id = j.order_id;

CREATE VIEW report_job_times AS
SELECT
    j.number AS job_number,
    s.unit AS equipment,
    strftime('%Y-%m-%dT%H:%M:%S', s.from_at / 1000000, 'unixepoch') || printf('.%06dZ', s.from_at % 1000000) AS from_time,
    CASE WHEN s.to_at < 9223372036854775807 THEN strftime('%Y-%m-%dT%H:%M:%S', s.to_at / 1000000, 'unixepoch') || printf('.%06dZ', s.to_at % 1000000) END AS to_time
FROM job_span s JOIN job_order j ON j.id = s.job;

CREATE VIEW report_lots AS
SELECT
    lower(printf('%s-%s-%s-%s-%s', substr(hex(i.id), 1, 8), substr(hex(i.id), 9, 4), substr(hex(i.id), 13, 4), substr(hex(i.id), 17, 4), substr(hex(i.id), 21, 12))) AS id,
    CASE i.kind WHEN 0 THEN 'lot' WHEN 1 THEN 'sublot' WHEN 2 THEN 'unit' ELSE 'container' END AS kind,
    m.text AS material,
    r.text AS revision,
    i.number,
    CASE i.state WHEN 0 THEN 'Released' WHEN 1 THEN 'Quarantine' WHEN 2 THEN 'Hold' WHEN 3 THEN 'Scrapped' ELSE 'Shipped' END AS state,
    i.made / 1000000.0 AS made,
    i.received / 1000000.0 AS received,
    i.consumed / 1000000.0 AS consumed,
    p.text AS place,
    CASE WHEN i.place = -1 THEN 1 ELSE 0 END AS is_in_several_places,
    j.text AS job_id,
    strftime('%Y-%m-%dT%H:%M:%S', i.made_at / 1000000, 'unixepoch') || printf('.%06dZ', i.made_at % 1000000) AS made_at
FROM trace_item i
    JOIN trace_word m ON m.number = i.material
    LEFT JOIN trace_word r ON r.number = i.revision
    LEFT JOIN trace_word p ON p.number = i.place
    LEFT JOIN trace_word j ON j.number = i.job;

CREATE VIEW report_genealogy AS
SELECT
    lower(printf('%s-%s-%s-%s-%s', substr(hex(f.id), 1, 8), substr(hex(f.id), 9, 4), substr(hex(f.id), 13, 4), substr(hex(f.id), 17, 4), substr(hex(f.id), 21, 12))) AS from_id,
    fm.text AS from_material,
    f.number AS from_number,
    lower(printf('%s-%s-%s-%s-%s', substr(hex(i.id), 1, 8), substr(hex(i.id), 9, 4), substr(hex(i.id), 13, 4), substr(hex(i.id), 17, 4), substr(hex(i.id), 21, 12))) AS to_id,
    im.text AS to_material,
    i.number AS to_number,
    e.quantity / 1000000.0 AS quantity,
    p.text AS position,
    w.text AS equipment,
    j.text AS job_id,
    strftime('%Y-%m-%dT%H:%M:%S', e.at / 1000000, 'unixepoch') || printf('.%06dZ', e.at % 1000000) AS at_time,
    strftime('%Y-%m-%dT%H:%M:%S', e.removed_at / 1000000, 'unixepoch') || printf('.%06dZ', e.removed_at % 1000000) AS removed_time
FROM trace_edge e
    JOIN trace_item f ON f.key = e.from_key
    JOIN trace_word fm ON fm.number = f.material
    JOIN trace_item i ON i.key = e.to_key
    JOIN trace_word im ON im.number = i.material
    LEFT JOIN trace_word p ON p.number = e.position
    LEFT JOIN trace_word w ON w.number = e.equipment
    LEFT JOIN trace_word j ON j.number = e.job;

CREATE VIEW report_hours AS
SELECT
    n.name AS path,
    strftime('%Y-%m-%dT%H:%M:%S', (f.number * 3600000000) / 1000000, 'unixepoch') || printf('.%06dZ', (f.number * 3600000000) % 1000000) AS begins,
    f.production / 1000000.0 AS production_s,
    f.setup / 1000000.0 AS setup_s,
    f.delay / 1000000.0 AS delay_s,
    f.minor_stop / 1000000.0 AS minor_stop_s,
    f.idle / 1000000.0 AS idle_s,
    f.unknown / 1000000.0 AS unknown_s,
    f.planned_down / 1000000.0 AS planned_down_s,
    f.off_shift / 1000000.0 AS off_shift_s,
    f.good / 1000000.0 AS good,
    f.scrap / 1000000.0 AS scrap,
    f.rework / 1000000.0 AS rework,
    f.work_produced / 1000000.0 AS planned_run_s,
    f.work_good / 1000000.0 AS planned_run_good_s
FROM floor_figure f JOIN floor_number n ON n.kind = 'node' AND n.number = f.node
WHERE f.level = 0;

CREATE VIEW report_days AS
SELECT
    n.name AS path,
    strftime('%Y-%m-%dT%H:%M:%S', (f.number * 86400000000) / 1000000, 'unixepoch') || printf('.%06dZ', (f.number * 86400000000) % 1000000) AS begins,
    f.production / 1000000.0 AS production_s,
    f.setup / 1000000.0 AS setup_s,
    f.delay / 1000000.0 AS delay_s,
    f.minor_stop / 1000000.0 AS minor_stop_s,
    f.idle / 1000000.0 AS idle_s,
    f.unknown / 1000000.0 AS unknown_s,
    f.planned_down / 1000000.0 AS planned_down_s,
    f.off_shift / 1000000.0 AS off_shift_s,
    f.good / 1000000.0 AS good,
    f.scrap / 1000000.0 AS scrap,
    f.rework / 1000000.0 AS rework,
    f.work_produced / 1000000.0 AS planned_run_s,
    f.work_good / 1000000.0 AS planned_run_good_s
FROM floor_figure f JOIN floor_number n ON n.kind = 'node' AND n.number = f.node
WHERE f.level = 1;
