-- Reference tables of a platform's work orders, PostgreSQL.
--
-- Joins use surrogate keys (pk). Public ids are text, because real platforms hold ids that are no UUID,
-- and such records must reach the quarantine instead of breaking the query. Ids compare byte by byte
-- (COLLATE "C"), so that the order of an export does not depend on the server's locale.

CREATE TABLE site (
    id text COLLATE "C" PRIMARY KEY,
    customer text NOT NULL,
    name text
);

CREATE TABLE work_order (
    pk bigint PRIMARY KEY,
    id text COLLATE "C",
    name text,
    site_id text COLLATE "C",
    create_date timestamptz,
    update_date timestamptz,
    metadata json,
    progress_score numeric
);

CREATE TABLE work_item (
    pk bigint PRIMARY KEY,
    work_order_pk bigint NOT NULL,
    id text COLLATE "C",
    name text,
    position integer NOT NULL DEFAULT 0
);

CREATE TABLE input (
    pk bigint PRIMARY KEY,
    work_item_pk bigint NOT NULL,
    id text COLLATE "C",
    create_date timestamptz,
    analysis_date timestamptz,
    file_extension text,
    metadata json
);

-- "check" is a reserved word.
CREATE TABLE data_conformity (
    pk bigint PRIMARY KEY,
    input_pk bigint NOT NULL,
    position integer NOT NULL DEFAULT 0,
    "check" text,
    code text,
    level text
);

CREATE TABLE job_conformity (
    pk bigint PRIMARY KEY,
    input_pk bigint NOT NULL,
    position integer NOT NULL DEFAULT 0,
    task_name text,
    analyzed_value json,
    corrected_value json,
    corrected_date timestamptz,
    message text,
    is_conformity_validated boolean
);

-- The window of a site, in the order of the lines.
CREATE INDEX work_order_window
    ON work_order (site_id, (coalesce(update_date, create_date)), id NULLS FIRST, pk);
CREATE INDEX work_item_of_order ON work_item (work_order_pk, position);
CREATE INDEX input_of_item ON input (work_item_pk, create_date);
CREATE INDEX input_analysed ON input (analysis_date);
CREATE INDEX data_conformity_of_input ON data_conformity (input_pk, position, pk);
CREATE INDEX job_conformity_of_input ON job_conformity (input_pk, position, pk);

-- Last, so that a bulk load is checked once instead of row by row.
ALTER TABLE work_item ADD FOREIGN KEY (work_order_pk) REFERENCES work_order (pk) ON DELETE CASCADE;
ALTER TABLE input ADD FOREIGN KEY (work_item_pk) REFERENCES work_item (pk) ON DELETE CASCADE;
ALTER TABLE data_conformity ADD FOREIGN KEY (input_pk) REFERENCES input (pk) ON DELETE CASCADE;
ALTER TABLE job_conformity ADD FOREIGN KEY (input_pk) REFERENCES input (pk) ON DELETE CASCADE;
