-- A PL/pgSQL row trigger that inserts the key into a table; a poller in C looks every 50 ms, deletes up to 10,000
-- rows and removes their keys in a pipeline.
CREATE TABLE IF NOT EXISTS cache_outbox (
	id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key text NOT NULL
);
CREATE OR REPLACE FUNCTION @table@_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		INSERT INTO cache_outbox (key) VALUES ('@table@:' || OLD.@column@);
	END IF;
	IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND NEW.@column@ <> OLD.@column@ THEN
		INSERT INTO cache_outbox (key) VALUES ('@table@:' || NEW.@column@);
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER track AFTER INSERT OR UPDATE OR DELETE ON @table@
	FOR EACH ROW EXECUTE FUNCTION @table@_changed();
