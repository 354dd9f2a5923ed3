-- Which programs were loaded into a unit at a station: a JSON object by component.
ALTER TABLE trace_pass ADD COLUMN firmware TEXT NOT NULL DEFAULT '{}';
