-- pgmemcache (postgresql-15-pgmemcache) in a PL/pgSQL row trigger that deletes the key from memcached at once,
-- inside the transaction: a reader can put the old value back before COMMIT, and a rolled-back change deletes too.
CREATE EXTENSION IF NOT EXISTS pgmemcache;
CREATE OR REPLACE FUNCTION @table@_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF TG_OP <> 'INSERT' THEN
		PERFORM memcache_delete('@table@:' || OLD.@column@);
	END IF;
	IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND NEW.@column@ <> OLD.@column@ THEN
		PERFORM memcache_delete('@table@:' || NEW.@column@);
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER track AFTER INSERT OR UPDATE OR DELETE ON @table@
	FOR EACH ROW EXECUTE FUNCTION @table@_changed();
