-- Work orders created or updated in the window; of each work item only the last input
-- (DX-104, DX-105, D16), as JSON text in the document's key order.
--
-- Parameters: site_id text, start and end timestamptz. Result: one column, one record per row.
-- Text is built by hand because json_build_object costs half as much again; coalesce after each part keeps
-- every key (D4, D5, D6). to_char gives NULL for 'infinity': to_json then writes it out, and the contract
-- rejects it instead of a date getting lost.
SELECT concat(
    '{"id":', coalesce(to_json(o.id), 'null'),
    ',"name":', coalesce(to_json(o.name), 'null'),
    ',"site_id":', coalesce(to_json(o.site_id), 'null'),
    ',"create_date":', coalesce(
        '"' || to_char(o.create_date AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') || '"',
        to_json(o.create_date)::text, 'null'),
    ',"update_date":', coalesce(
        '"' || to_char(o.update_date AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') || '"',
        to_json(o.update_date)::text, 'null'),
    ',"metadata":', coalesce(o.metadata, 'null'),
    ',"progress_score":', coalesce(to_json(o.progress_score), 'null'),
    ',"work_items":[', (
        SELECT string_agg(concat(
            '{"id":', coalesce(to_json(w.id), 'null'),
            ',"name":', coalesce(to_json(w.name), 'null'),
            ',"input":[', (
                SELECT string_agg(concat(
                    '{"id":', coalesce(to_json(i.id), 'null'),
                    ',"create_date":', coalesce(
                        '"' || to_char(i.create_date AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') || '"',
                        to_json(i.create_date)::text, 'null'),
                    -- D9: lower case and with its dot; NULL and '' have no dot.
                    ',"file_extension":', coalesce(to_json(lower(
                        CASE WHEN i.file_extension = '' OR i.file_extension LIKE '.%%' THEN i.file_extension
                             ELSE '.' || i.file_extension END COLLATE "C")), 'null'),
                    ',"metadata":', coalesce(i.metadata, 'null'),
                    ',"data_conformity":[', (
                        SELECT string_agg(concat(
                            '{"check":', coalesce(to_json(d."check"), 'null'),
                            -- D3: a code that is no number becomes null; noticed.sql counts it.
                            ',"code":', CASE
                                WHEN d.code ~ '^[ \t\n\r]*-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?[ \t\n\r]*$'
                                THEN d.code ELSE 'null' END,
                            ',"level":', coalesce(to_json(d.level), 'null'), '}'), ',')
                        FROM (SELECT * FROM data_conformity WHERE input_pk = i.pk
                              ORDER BY position, pk) d
                    ),
                    '],"job_conformity":[', (
                        SELECT string_agg(concat(
                            '{"task_name":', coalesce(to_json(j.task_name), 'null'),
                            ',"analyzed_value":', coalesce(j.analyzed_value, 'null'),
                            ',"corrected_value":', coalesce(j.corrected_value, 'null'),
                            ',"corrected_date":', coalesce(
                                '"' || to_char(j.corrected_date AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') || '"',
                                to_json(j.corrected_date)::text, 'null'),
                            ',"message":', coalesce(to_json(j.message), 'null'),
                            ',"is_conformity_validated":', CASE j.is_conformity_validated
                                WHEN true THEN 'true' WHEN false THEN 'false' ELSE 'null' END, '}'), ',')
                        FROM (SELECT * FROM job_conformity WHERE input_pk = i.pk
                              ORDER BY position, pk) j
                    ), ']}'), ',')
                FROM (SELECT * FROM input WHERE work_item_pk = w.pk
                      ORDER BY create_date DESC NULLS LAST, id COLLATE "C", pk
                      LIMIT 1) i
            ), ']}'), ',')
        FROM (SELECT * FROM work_item WHERE work_order_pk = o.pk
              ORDER BY position, id COLLATE "C", pk) w
    ), ']}') AS record
-- OFFSET 0 keeps the ordering below the JSON: rows are sorted before they are made long.
FROM (
    SELECT *
    FROM work_order
    WHERE site_id = %(site_id)s
      AND coalesce(update_date, create_date) >= %(start)s
      AND coalesce(update_date, create_date) < %(end)s
    ORDER BY coalesce(update_date, create_date), id COLLATE "C" NULLS FIRST, pk
    OFFSET 0
) o
