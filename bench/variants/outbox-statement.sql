-- The same table and poller; statement triggers insert the distinct keys of the transition tables.
CREATE TABLE IF NOT EXISTS cache_outbox (
	id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	key text NOT NULL
);
CREATE OR REPLACE FUNCTION @table@_inserted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO cache_outbox (key)
		SELECT DISTINCT '@table@:' || @column@ FROM new_rows;
	RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION @table@_updated() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO cache_outbox (key)
		SELECT '@table@:' || @column@ FROM new_rows UNION
		SELECT '@table@:' || @column@ FROM old_rows;
	RETURN NULL;
END
$$;
CREATE OR REPLACE FUNCTION @table@_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO cache_outbox (key)
		SELECT DISTINCT '@table@:' || @column@ FROM old_rows;
	RETURN NULL;
END
$$;
CREATE TRIGGER track_insert AFTER INSERT ON @table@
	REFERENCING NEW TABLE AS new_rows
	FOR EACH STATEMENT EXECUTE FUNCTION @table@_inserted();
CREATE TRIGGER track_update AFTER UPDATE ON @table@
	REFERENCING NEW TABLE AS new_rows OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION @table@_updated();
CREATE TRIGGER track_delete AFTER DELETE ON @table@
	REFERENCING OLD TABLE AS old_rows
	FOR EACH STATEMENT EXECUTE FUNCTION @table@_deleted();
