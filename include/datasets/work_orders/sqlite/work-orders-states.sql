-- Work orders created or updated in the window; of each work item only the last input
-- (DX-104, DX-105, D16), as JSON text in the document's key order.
--
-- Parameters: site_id, start and end as text. Result: one column, one record per row: byte for byte what
-- postgresql/work-orders-states.sql gives for the same data.
SELECT '{"id":' || json_quote(o.id)
    || ',"name":' || json_quote(o.name)
    || ',"site_id":' || json_quote(o.site_id)
    || ',"create_date":' || json_quote(o.create_date)
    || ',"update_date":' || json_quote(o.update_date)
    || ',"metadata":' || coalesce(o.metadata, 'null')
    || ',"progress_score":' || coalesce(o.progress_score, 'null')
    || ',"work_items":[' || coalesce((
        SELECT group_concat('{"id":' || json_quote(w.id)
            || ',"name":' || json_quote(w.name)
            || ',"input":[' || coalesce((
                SELECT group_concat('{"id":' || json_quote(i.id)
                    || ',"create_date":' || json_quote(i.create_date)
                    -- D9: lower case and with its dot; NULL and '' have no dot.
                    || ',"file_extension":' || json_quote(lower(
                        CASE WHEN i.file_extension = '' OR i.file_extension LIKE '.%' THEN i.file_extension
                             ELSE '.' || i.file_extension END))
                    || ',"metadata":' || coalesce(i.metadata, 'null')
                    || ',"data_conformity":[' || coalesce((
                        SELECT group_concat('{"check":' || json_quote(d."check")
                            -- D3: a code that is no number becomes null; noticed.sql counts it.
                            || ',"code":' || CASE WHEN json_valid(d.code)
                                                  THEN CASE WHEN json_type(d.code) IN ('integer', 'real')
                                                            THEN d.code ELSE 'null' END
                                                  ELSE 'null' END
                            || ',"level":' || json_quote(d.level) || '}', ',')
                        FROM (SELECT * FROM data_conformity WHERE input_pk = i.pk
                              ORDER BY position, pk) d
                    ), '')
                    || '],"job_conformity":[' || coalesce((
                        SELECT group_concat('{"task_name":' || json_quote(j.task_name)
                            || ',"analyzed_value":' || coalesce(j.analyzed_value, 'null')
                            || ',"corrected_value":' || coalesce(j.corrected_value, 'null')
                            || ',"corrected_date":' || json_quote(j.corrected_date)
                            || ',"message":' || json_quote(j.message)
                            || ',"is_conformity_validated":' || CASE j.is_conformity_validated
                                WHEN 1 THEN 'true' WHEN 0 THEN 'false'
                                ELSE json_quote(j.is_conformity_validated) END || '}', ',')
                        FROM (SELECT * FROM job_conformity WHERE input_pk = i.pk
                              ORDER BY position, pk) j
                    ), '') || ']}', ',')
                FROM (SELECT * FROM input WHERE work_item_pk = w.pk
                      ORDER BY create_date IS NULL, create_date DESC, id IS NULL, id, pk
                      LIMIT 1) i
            ), '') || ']}', ',')
        FROM (SELECT * FROM work_item WHERE work_order_pk = o.pk
              ORDER BY position, id IS NULL, id, pk) w
    ), '') || ']}' AS record
FROM work_order o
WHERE o.site_id = :site_id
  AND coalesce(o.update_date, o.create_date) >= :start
  AND coalesce(o.update_date, o.create_date) < :end
-- The index work_order_window gives this order, so nothing is sorted and no record is held.
ORDER BY coalesce(o.update_date, o.create_date), o.id, o.pk
