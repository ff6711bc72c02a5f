--
-- A function that refreshes all materialized views leaves the outbox as it is.
--
CREATE TABLE refreshed (id integer);
CREATE MATERIALIZED VIEW of_refreshed AS SELECT id FROM refreshed;
SELECT inval_touch('precious');
INSERT INTO refreshed VALUES (1);
DO $$
DECLARE
	view record;
BEGIN
	FOR view IN SELECT c.oid::regclass AS name FROM pg_class c
		WHERE c.relkind = 'm' AND c.relname ~ 'refreshed|inval_outbox' ORDER BY c.relname LOOP
		EXECUTE format('REFRESH MATERIALIZED VIEW %s', view.name);
	END LOOP;
END
$$;
SELECT * FROM of_refreshed;
REFRESH MATERIALIZED VIEW CONCURRENTLY inval_outbox_0;
REFRESH MATERIALIZED VIEW inval_outbox_5 WITH NO DATA;
SELECT * FROM queued() WHERE key = 'precious';
-- Who may not refresh it gets the server's error.
CREATE ROLE regress_inval_refresher;
SET ROLE regress_inval_refresher;
\set VERBOSITY sqlstate
REFRESH MATERIALIZED VIEW inval_outbox_0;
REFRESH MATERIALIZED VIEW inval_outbox_0 WITH NO DATA;
\set VERBOSITY default
RESET ROLE;
DROP ROLE regress_inval_refresher;
DROP MATERIALIZED VIEW of_refreshed;
DROP TABLE refreshed;
