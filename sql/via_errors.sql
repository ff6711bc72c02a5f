--
-- Why a query of via fails is not for everybody who writes: it may have values in it.
--
-- The numbers of rules are shown.
ALTER SEQUENCE inval_rule_id_seq RESTART 9201;
CREATE ROLE regress_inval_owner;
CREATE ROLE regress_inval_writer;
CREATE SCHEMA own AUTHORIZATION regress_inval_owner;
SET ROLE regress_inval_owner;
CREATE TABLE own.secret (t text);
CREATE TABLE own.doc (id integer);
INSERT INTO own.secret VALUES ('hunter2');
GRANT USAGE ON SCHEMA own TO regress_inval_writer;
GRANT INSERT ON own.doc TO regress_inval_writer;
SELECT inval_track('own.doc', key => 'doc:{n}', via => 'SELECT t::integer AS n FROM own.secret WHERE {id} = 1') IS NOT NULL AS tracked;
\set VERBOSITY default
SET ROLE regress_inval_writer;
INSERT INTO own.doc VALUES (1);
SET ROLE regress_inval_owner;
INSERT INTO own.doc VALUES (1);
\set VERBOSITY terse
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA own CASCADE;
RESET client_min_messages;
DROP ROLE regress_inval_owner, regress_inval_writer;
