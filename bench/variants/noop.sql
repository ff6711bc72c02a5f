-- A trigger in C that does nothing (bench/noop): what PostgreSQL itself takes for calling a row trigger.
CREATE EXTENSION IF NOT EXISTS bench_noop;
CREATE TRIGGER track AFTER INSERT OR UPDATE OR DELETE ON @table@
	FOR EACH ROW EXECUTE FUNCTION bench_noop();
