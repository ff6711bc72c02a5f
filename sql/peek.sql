--
-- inval_peek: who may ask, and for what.  No Redis is there to answer.
--
CREATE ROLE regress_inval_peeker;
SET ROLE regress_inval_peeker;
SELECT * FROM inval_peek('team:1');
RESET ROLE;
GRANT EXECUTE ON FUNCTION inval_peek TO regress_inval_peeker;
REVOKE USAGE ON FOREIGN SERVER inval_target_default FROM PUBLIC;
SET ROLE regress_inval_peeker;
SELECT * FROM inval_peek('team:1');
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER inval_target_default TO PUBLIC;
SET ROLE regress_inval_peeker;
SELECT * FROM outcome($$inval_peek('team:1', NULL)$$, $$inval_peek('')$$, $$inval_peek(repeat('x', 7501))$$,
	$$inval_peek(VARIADIC '{}')$$, $$inval_peek(VARIADIC NULL)$$);
RESET ROLE;
-- Who is not there does not answer.
\set VERBOSITY sqlstate
SELECT * FROM inval_peek('team:1', 'team:2');
\set VERBOSITY default
-- Nobody waits for Redis where a transaction ends, by a rule's query.
CREATE TABLE peeked (id integer);
ALTER SEQUENCE inval_rule_id_seq RESTART 400;	-- for messages that have a rule's number
SELECT inval_track('peeked', key => 'k:{k}', via => 'SELECT value AS k FROM public.inval_peek($$a$$)');
INSERT INTO peeked VALUES (1);
SELECT * FROM queued();
DROP TABLE peeked;
REVOKE ALL ON FUNCTION inval_peek FROM regress_inval_peeker;
DROP ROLE regress_inval_peeker;
