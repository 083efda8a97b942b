-- Whether the platform knows the site: asked only if the window held no record of it.
--
-- Parameters: site_id text. Result: one row, one boolean.
SELECT EXISTS (SELECT 1 FROM site WHERE id = %(site_id)s)
    OR EXISTS (SELECT 1 FROM work_order WHERE site_id = %(site_id)s) AS known
