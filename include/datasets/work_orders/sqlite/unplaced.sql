-- Records that no site's file can hold (D36): in the window but without a site, or without any date.
--
-- Parameters: site_id, start and end as text. Result: one row, one number.
-- Records without a site belong to no customer, so every site's report counts them.
SELECT (SELECT count(*) FROM work_order
        WHERE site_id IS NULL
          AND coalesce(update_date, create_date) >= :start
          AND coalesce(update_date, create_date) < :end)
     + (SELECT count(*) FROM work_order
        WHERE site_id IS NULL AND coalesce(update_date, create_date) IS NULL)
     + (SELECT count(*) FROM work_order
        WHERE site_id = :site_id AND coalesce(update_date, create_date) IS NULL) AS unplaced
