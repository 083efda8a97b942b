-- How many work orders the window holds, and the instants that cut it into even pieces.
--
-- Parameters: site_id text, start and end timestamptz, fractions float8[] (for example 0.5 to cut in two).
-- Result: one row: count, array of timestamptz. A piece is read as a smaller window, so the pieces in order
-- are the whole.
SELECT count(*) AS records,
       percentile_disc(%(fractions)s::float8[])
           WITHIN GROUP (ORDER BY coalesce(update_date, create_date)) AS cuts
FROM work_order
WHERE site_id = %(site_id)s
  AND coalesce(update_date, create_date) >= %(start)s
  AND coalesce(update_date, create_date) < %(end)s
