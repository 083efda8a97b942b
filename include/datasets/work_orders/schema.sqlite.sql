-- Reference tables of a platform's work orders, SQLite: the same as schema.postgresql.sql.
--
-- Timestamps are text in UTC, always with six digits and offset: 2025-03-19T14:21:40.105568+00:00, so that
-- text order is time order. JSON is text. progress_score is the text of a JSON number, because SQLite's
-- REAL would lose its digits.

CREATE TABLE site (
    id TEXT PRIMARY KEY,
    customer TEXT NOT NULL,
    name TEXT
);

CREATE TABLE work_order (
    pk INTEGER PRIMARY KEY,
    id TEXT,
    name TEXT,
    site_id TEXT,
    create_date TEXT,
    update_date TEXT,
    metadata TEXT CHECK (metadata IS NULL OR json_valid(metadata)),
    progress_score TEXT CHECK (progress_score IS NULL OR json_valid(progress_score))
);

CREATE TABLE work_item (
    pk INTEGER PRIMARY KEY,
    work_order_pk INTEGER NOT NULL REFERENCES work_order (pk) ON DELETE CASCADE,
    id TEXT,
    name TEXT,
    position INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE input (
    pk INTEGER PRIMARY KEY,
    work_item_pk INTEGER NOT NULL REFERENCES work_item (pk) ON DELETE CASCADE,
    id TEXT,
    create_date TEXT,
    analysis_date TEXT,
    file_extension TEXT,
    metadata TEXT CHECK (metadata IS NULL OR json_valid(metadata))
);

-- "check" is a reserved word.
CREATE TABLE data_conformity (
    pk INTEGER PRIMARY KEY,
    input_pk INTEGER NOT NULL REFERENCES input (pk) ON DELETE CASCADE,
    position INTEGER NOT NULL DEFAULT 0,
    "check" TEXT,
    code TEXT,
    level TEXT
);

CREATE TABLE job_conformity (
    pk INTEGER PRIMARY KEY,
    input_pk INTEGER NOT NULL REFERENCES input (pk) ON DELETE CASCADE,
    position INTEGER NOT NULL DEFAULT 0,
    task_name TEXT,
    analyzed_value TEXT CHECK (analyzed_value IS NULL OR json_valid(analyzed_value)),
    corrected_value TEXT CHECK (corrected_value IS NULL OR json_valid(corrected_value)),
    corrected_date TEXT,
    message TEXT,
    is_conformity_validated INTEGER
);

-- The window of a site, in the order of the lines.
CREATE INDEX work_order_window
    ON work_order (site_id, coalesce(update_date, create_date), id, pk);
CREATE INDEX work_item_of_order ON work_item (work_order_pk, position);
CREATE INDEX input_of_item ON input (work_item_pk, create_date);
CREATE INDEX input_analysed ON input (analysis_date);
CREATE INDEX data_conformity_of_input ON data_conformity (input_pk, position, pk);
CREATE INDEX job_conformity_of_input ON job_conformity (input_pk, position, pk);
