-- What people counted at a work unit, in order of time; and where one job stood.
CREATE INDEX job_ledger_counts ON job_ledger (equipment, at, number) WHERE kind = 'count';
CREATE INDEX job_span_by_job ON job_span (job, number);
