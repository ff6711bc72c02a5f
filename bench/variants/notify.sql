-- A PL/pgSQL row trigger that calls pg_notify with the key; a listener in C removes the keys it is told, in a
-- pipeline. What is notified while nobody listens is lost.
CREATE OR REPLACE FUNCTION @table@_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		PERFORM pg_notify('cache', '@table@:' || OLD.@column@);
	END IF;
	IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND NEW.@column@ <> OLD.@column@ THEN
		PERFORM pg_notify('cache', '@table@:' || NEW.@column@);
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER track AFTER INSERT OR UPDATE OR DELETE ON @table@
	FOR EACH ROW EXECUTE FUNCTION @table@_changed();
