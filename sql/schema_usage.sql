--
-- Who changes rows or runs DDL needs no right on the schema of the extension.
--
SELECT current_database() AS database \gset
CREATE DATABASE regress_inval_usage;
ALTER DATABASE regress_inval_usage SET inval.redis_url = 'unix:///nonexistent/redis.sock';
\c regress_inval_usage
CREATE SCHEMA keys;
CREATE EXTENSION inval SCHEMA keys;
SELECT keys.inval_pause();
CREATE ROLE regress_inval_writer;
CREATE SCHEMA theirs AUTHORIZATION regress_inval_writer;
CREATE TABLE theirs.row (id integer);
ALTER TABLE theirs.row OWNER TO regress_inval_writer;
SELECT keys.inval_track('theirs.row', 'id') IS NOT NULL AS tracked;
\c -
SET ROLE regress_inval_writer;
INSERT INTO theirs.row VALUES (1);
CREATE TABLE theirs.more (id integer);
ALTER TABLE theirs.row ADD COLUMN note text;
RESET ROLE;
SELECT key FROM keys.inval_queue;
DROP TABLE theirs.row, theirs.more;
DROP SCHEMA theirs;
DROP ROLE regress_inval_writer;
\c :database
DROP DATABASE regress_inval_usage;
