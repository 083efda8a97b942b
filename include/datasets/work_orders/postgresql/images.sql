-- Names of the images that were analysed in the window, whatever work order they belong to (DX-106, D15).
--
-- Parameters: site_id text, start and end timestamptz. Result: one column, one name per row, any order.
-- An input without id or extension has no image name; its record says so when it is exported.
SELECT concat(i.id, lower(
    CASE WHEN i.file_extension LIKE '.%%' THEN i.file_extension ELSE '.' || i.file_extension END COLLATE "C")) AS name
FROM input i
JOIN work_item w ON w.pk = i.work_item_pk
JOIN work_order o ON o.pk = w.work_order_pk
WHERE o.site_id = %(site_id)s
  AND i.analysis_date >= %(start)s
  AND i.analysis_date < %(end)s
  AND i.id IS NOT NULL
  AND i.file_extension <> ''
