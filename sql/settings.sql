--
-- Settings: what they take, and what they keep to themselves.
--
SELECT name, vartype, unit, context, min_val, max_val, boot_val
FROM pg_settings WHERE name LIKE 'inval.%' ORDER BY name;
-- Each description is a sentence.
SELECT name, short_desc FROM pg_settings
WHERE name LIKE 'inval.%' AND short_desc !~ '^(Sets|Shows) .*\.$';
-- The server's own words differ between versions.
\set VERBOSITY sqlstate
SET inval.pending_memory = '63kB';
SET inval.pending_memory = '2GB';
\set VERBOSITY default
SET inval.pending_memory = '1MB';
SHOW inval.pending_memory;
\set VERBOSITY sqlstate
SET inval.commit_timeout = -1;
SET inval.commit_timeout = '61s';
\set VERBOSITY default
SET inval.commit_timeout = '1s';
SHOW inval.commit_timeout;
SET inval.commit_timeout = 'soon';
SET inval.workers = 1;
SET inval.no_such_setting = 1;
RESET ALL;

-- Addresses that are understood
CREATE FUNCTION taken(url text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('inval.redis_url', url, true);
	RETURN true;
EXCEPTION WHEN invalid_parameter_value THEN
	RETURN false;
END
$$;
SELECT url, taken(url) FROM unnest(ARRAY[
	'redis://127.0.0.1', 'redis://127.0.0.1:6379', 'redis://localhost:1/15',
	'redis://localhost/0', 'redis://localhost/', 'redis://[::1]:6379/0', 'redis://:secret@localhost',
	'redis://user:secret@localhost:6379/3', 'redis://user:s%40%3A%2Fcret@localhost',
	'unix:///tmp/redis.sock', 'unix:///tmp/redis.sock?db=3', 'redis://localhost?passfile=/run/secret',
	'redis+sentinel://a,b:1,[::1]:2/master', 'redis+sentinel://:secret@a/m/1?sentinelpassfile=/x']) url;
-- and not
SELECT left(url, 40) AS url, taken(url) FROM unnest(ARRAY[
	'', 'localhost', 'localhost:6379', 'http://localhost', 'redis:/localhost', 'redis://',
	'redis://:6379', 'redis://localhost:', 'redis://localhost:0', 'redis://localhost:65536',
	'redis://localhost:port', 'redis://localhost:-1', 'redis://localhost/x', 'redis://localhost/-1',
	'redis://localhost/0/1', 'redis://localhost/99999999999', 'redis://user:100%@localhost',
	'redis://user:%zz@localhost', 'redis://[::1', 'unix://', 'unix://tmp/redis.sock',
	'unix:///tmp/redis.sock?db=x', 'unix:///tmp/redis.sock?nope=1', 'redis://:secret@localhost?passfile=/x',
	'redis://localhost?passfile=x', 'redis://localhost?cacert=/x', 'redis+sentinel://a', 'redis+sentinel://a,,b/m',
	'unix:///' || repeat('x', 200), 'redis://' || repeat('x', 300)]) url;
-- What is wrong is said without the password that is in it.
\set VERBOSITY default
SET inval.redis_url = 'redis://user:hunter2@localhost:port';
ALTER SYSTEM SET inval.redis_url = 'redis://user:hunter2@localhost/x';
-- Everybody can read the settings of databases, roles and functions.
ALTER ROLE CURRENT_USER SET inval.redis_url = 'redis://user:hunter2@localhost';
ALTER ROLE CURRENT_USER SET inval.redis_url = 'unix:///tmp/x?password=hunter2';
DROP FUNCTION taken(text);
