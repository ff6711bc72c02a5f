-- Logical decoding with wal2json (postgresql-15-wal2json, wal_level = logical): no trigger; pg_recvlogical pipes
-- the changes (format version 2) into a consumer in C that removes the keys in a pipeline. A table whose key is not
-- made of its primary key needs REPLICA IDENTITY FULL.
DO $$
BEGIN
	IF NOT EXISTS (SELECT FROM pg_index, pg_attribute
				   WHERE pg_index.indrelid = '@table@'::regclass AND indisprimary
					 AND pg_attribute.attrelid = pg_index.indrelid
					 AND attname = '@column@' AND attnum = ANY (indkey))
	THEN
		ALTER TABLE @table@ REPLICA IDENTITY FULL;
	END IF;
END
$$;
