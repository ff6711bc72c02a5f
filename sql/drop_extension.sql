--
-- DROP EXTENSION says what goes with it: the rules and what is queued.
--
SELECT current_database() AS database \gset
CREATE DATABASE regress_inval_drop;
ALTER DATABASE regress_inval_drop SET inval.redis_url = 'unix:///nonexistent/redis.sock';
\c regress_inval_drop
CREATE SCHEMA keys;
CREATE EXTENSION inval SCHEMA keys;
SET search_path = public, keys;
SELECT inval_pause();
-- nothing to be said
BEGIN;
DROP EXTENSION inval;
ROLLBACK;
CREATE TABLE doomed (id integer);
SELECT inval_track('doomed', 'id') IS NOT NULL AS tracked;
BEGIN;
DROP EXTENSION inval;
ROLLBACK;
INSERT INTO doomed VALUES (1), (2);
CREATE MATERIALIZED VIEW doomed_too AS SELECT id FROM doomed;
SELECT inval_track('doomed_too', 'id') IS NOT NULL AS tracked;
BEGIN;
DROP SCHEMA keys;
ROLLBACK;
BEGIN;
DROP SCHEMA keys CASCADE;
ROLLBACK;
-- Others get the server's error and learn nothing.
CREATE ROLE regress_inval_dropper;
GRANT USAGE ON SCHEMA keys TO regress_inval_dropper;
SET ROLE regress_inval_dropper;
DROP EXTENSION inval;
RESET ROLE;
REVOKE USAGE ON SCHEMA keys FROM regress_inval_dropper;
DROP ROLE regress_inval_dropper;
DROP EXTENSION IF EXISTS inval;
\c :database
DROP DATABASE regress_inval_drop;
