-- PgQ 3 (postgresql-15-pgq3): its own trigger in C, pgq.logutriga, which queues the row; pgqd ticks, told to do so
-- every 100 ms instead of every 3 s; a consumer in C takes batches, looking every 50 ms, and removes the keys in a
-- pipeline.
CREATE EXTENSION IF NOT EXISTS pgq;
DO $$
BEGIN
	IF pgq.create_queue('cache') = 1 THEN
		PERFORM pgq.set_queue_config('cache', 'ticker_max_lag', '100 milliseconds');
		PERFORM pgq.register_consumer('cache', 'bench');
	END IF;
END
$$;
CREATE TRIGGER track AFTER INSERT OR UPDATE OR DELETE ON @table@
	FOR EACH ROW EXECUTE FUNCTION pgq.logutriga('cache');
