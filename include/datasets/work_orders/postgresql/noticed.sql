-- What the export changes on the way, for the run's report (D3).
--
-- Parameters: site_id text, start and end timestamptz. Result: rows of text and count; none if nothing changed.
SELECT 'data_conformity code is no number: exported as null' AS what, count(*) AS count
FROM work_order o
JOIN work_item w ON w.work_order_pk = o.pk
JOIN input i ON i.work_item_pk = w.pk
JOIN data_conformity d ON d.input_pk = i.pk
WHERE o.site_id = %(site_id)s
  AND coalesce(o.update_date, o.create_date) >= %(start)s
  AND coalesce(o.update_date, o.create_date) < %(end)s
  AND d.code !~ '^[ \t\n\r]*-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?[ \t\n\r]*$'
HAVING count(*) > 0
