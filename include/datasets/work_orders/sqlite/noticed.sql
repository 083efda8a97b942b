-- What the export changes on the way, for the run's report (D3).
--
-- Parameters: site_id, start and end as text. Result: rows of text and count; none if nothing changed.
SELECT 'data_conformity code is no number: exported as null' AS what, count(*) AS count
FROM work_order o
JOIN work_item w ON w.work_order_pk = o.pk
JOIN input i ON i.work_item_pk = w.pk
JOIN data_conformity d ON d.input_pk = i.pk
WHERE o.site_id = :site_id
  AND coalesce(o.update_date, o.create_date) >= :start
  AND coalesce(o.update_date, o.create_date) < :end
  AND d.code IS NOT NULL
  AND CASE WHEN json_valid(d.code) THEN json_type(d.code) NOT IN ('integer', 'real') ELSE 1 END
HAVING count(*) > 0
