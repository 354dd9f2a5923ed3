-- Figures of hours and days for whoever asks in SQL, and views of the records. Their names and columns are a promise (docs/manual/records.md): one
-- is added by a later migration, and none is changed or taken away.

-- What the totals of an hour (level 0) or a day (1) of a node come to: times in microseconds, amounts in millionths, and the planned run
-- time of what was made in microseconds. Written with the totals; of older ones a node makes it at its start.
CREATE TABLE floor_figure (
    node          BIGINT NOT NULL,
    level         BIGINT NOT NULL CHECK (level IN (0, 1)),
    number        BIGINT NOT NULL,
    production    BIGINT NOT NULL,
    setup         BIGINT NOT NULL,
    delay         BIGINT NOT NULL,
    minor_stop    BIGINT NOT NULL,
    idle          BIGINT NOT NULL,
    unknown       BIGINT NOT NULL,
    planned_down  BIGINT NOT NULL,
    off_shift     BIGINT NOT NULL,
    good          BIGINT NOT NULL,
    scrap         BIGINT NOT NULL,
    rework        BIGINT NOT NULL,
    work_produced BIGINT NOT NULL,
    work_good     BIGINT NOT NULL,
    PRIMARY KEY (node, level, number)
);

CREATE VIEW report_orders AS
SELECT
    CAST(encode(o.id, 'hex') AS UUID) AS id,
    o.number,
    o.material,
    o.revision,
    o.title,
    CAST(o.quantity AS NUMERIC) / 1000000 AS quantity,
    o.unit,
    o.state,
    o.priority,
    TIMESTAMPTZ 'epoch' + o.due * INTERVAL '1 microsecond' AS due,
    o.source,
    o.note,
    TIMESTAMPTZ 'epoch' + o.created * INTERVAL '1 microsecond' AS created
FROM work_order o;

CREATE VIEW report_jobs AS
SELECT
    CAST(encode(j.id, 'hex') AS UUID) AS id,
    j.number,
    o.number AS order_number,
    o.material,
    j.operation,
    j.title,
    j.equipment,
    j.state,
    j.substate,
    CAST(j.quantity AS NUMERIC) / 1000000 AS quantity,
    CAST(j.good AS NUMERIC) / 1000000 AS booked_good,
    CAST(j.scrap AS NUMERIC) / 1000000 AS booked_scrap,
    CAST(j.rework AS NUMERIC) / 1000000 AS booked_rework,
    TIMESTAMPTZ 'epoch' + j.planned_start * INTERVAL '1 microsecond' AS planned_start,
    TIMESTAMPTZ 'epoch' + j.planned_end * INTERVAL '1 microsecond' AS planned_end,
    TIMESTAMPTZ 'epoch' + j.started * INTERVAL '1 microsecond' AS started,
    TIMESTAMPTZ 'epoch' + j.ended * INTERVAL '1 microsecond' AS ended
FROM job_order j JOIN work_order o ON o.id = j.order_id;

CREATE VIEW report_job_times AS
SELECT
    j.number AS job_number,
    s.unit AS equipment,
    TIMESTAMPTZ 'epoch' + s.from_at * INTERVAL '1 microsecond' AS from_time,
    CASE WHEN s.to_at < 9223372036854775807 THEN TIMESTAMPTZ 'epoch' + s.to_at * INTERVAL '1 microsecond' END AS to_time
FROM job_span s JOIN job_order j ON j.id = s.job;

CREATE VIEW report_lots AS
SELECT
    CAST(encode(i.id, 'hex') AS UUID) AS id,
    CASE i.kind WHEN 0 THEN 'lot' WHEN 1 THEN 'sublot' WHEN 2 THEN 'unit' ELSE 'container' END AS kind,
    m.text AS material,
    r.text AS revision,
    i.number,
    CASE i.state WHEN 0 THEN 'Released' WHEN 1 THEN 'Quarantine' WHEN 2 THEN 'Hold' WHEN 3 THEN 'Scrapped' ELSE 'Shipped' END AS state,
    CAST(i.made AS NUMERIC) / 1000000 AS made,
    CAST(i.received AS NUMERIC) / 1000000 AS received,
    CAST(i.consumed AS NUMERIC) / 1000000 AS consumed,
    p.text AS place,
    CASE WHEN i.place = -1 THEN 1 ELSE 0 END AS is_in_several_places,
    j.text AS job_id,
    TIMESTAMPTZ 'epoch' + i.made_at * INTERVAL '1 microsecond' AS made_at
FROM trace_item i
    JOIN trace_word m ON m.number = i.material
    LEFT JOIN trace_word r ON r.number = i.revision
    LEFT JOIN trace_word p ON p.number = i.place
    LEFT JOIN trace_word j ON j.number = i.job;

CREATE VIEW report_genealogy AS
SELECT
    CAST(encode(f.id, 'hex') AS UUID) AS from_id,
    fm.text AS from_material,
    f.number AS from_number,
    CAST(encode(i.id, 'hex') AS UUID) AS to_id,
    im.text AS to_material,
    i.number AS to_number,
    CAST(e.quantity AS NUMERIC) / 1000000 AS quantity,
    p.text AS position,
    w.text AS equipment,
    j.text AS job_id,
    TIMESTAMPTZ 'epoch' + e.at * INTERVAL '1 microsecond' AS at_time,
    TIMESTAMPTZ 'epoch' + e.removed_at * INTERVAL '1 microsecond' AS removed_time
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
    TIMESTAMPTZ 'epoch' + (f.number * 3600000000) * INTERVAL '1 microsecond' AS begins,
    CAST(f.production AS NUMERIC) / 1000000 AS production_s,
    CAST(f.setup AS NUMERIC) / 1000000 AS setup_s,
    CAST(f.delay AS NUMERIC) / 1000000 AS delay_s,
    CAST(f.minor_stop AS NUMERIC) / 1000000 AS minor_stop_s,
    CAST(f.idle AS NUMERIC) / 1000000 AS idle_s,
    CAST(f.unknown AS NUMERIC) / 1000000 AS unknown_s,
    CAST(f.planned_down AS NUMERIC) / 1000000 AS planned_down_s,
    CAST(f.off_shift AS NUMERIC) / 1000000 AS off_shift_s,
    CAST(f.good AS NUMERIC) / 1000000 AS good,
    CAST(f.scrap AS NUMERIC) / 1000000 AS scrap,
    CAST(f.rework AS NUMERIC) / 1000000 AS rework,
    CAST(f.work_produced AS NUMERIC) / 1000000 AS planned_run_s,
    CAST(f.work_good AS NUMERIC) / 1000000 AS planned_run_good_s
FROM floor_figure f JOIN floor_number n ON n.kind = 'node' AND n.number = f.node
WHERE f.level = 0;

CREATE VIEW report_days AS
SELECT
    n.name AS path,
    TIMESTAMPTZ 'epoch' + (f.number * 86400000000) * INTERVAL '1 microsecond' AS begins,
    CAST(f.production AS NUMERIC) / 1000000 AS production_s,
    CAST(f.setup AS NUMERIC) / 1000000 AS setup_s,
    CAST(f.delay AS NUMERIC) / 1000000 AS delay_s,
    CAST(f.minor_stop AS NUMERIC) / 1000000 AS minor_stop_s,
    CAST(f.idle AS NUMERIC) / 1000000 AS idle_s,
    CAST(f.unknown AS NUMERIC) / 1000000 AS unknown_s,
    CAST(f.planned_down AS NUMERIC) / 1000000 AS planned_down_s,
    CAST(f.off_shift AS NUMERIC) / 1000000 AS off_shift_s,
    CAST(f.good AS NUMERIC) / 1000000 AS good,
    CAST(f.scrap AS NUMERIC) / 1000000 AS scrap,
    CAST(f.rework AS NUMERIC) / 1000000 AS rework,
    CAST(f.work_produced AS NUMERIC) / 1000000 AS planned_run_s,
    CAST(f.work_good AS NUMERIC) / 1000000 AS planned_run_good_s
FROM floor_figure f JOIN floor_number n ON n.kind = 'node' AND n.number = f.node
WHERE f.level = 1;
