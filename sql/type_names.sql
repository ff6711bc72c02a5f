--
-- Types and domains that are renamed or moved, named by the query of a rule or
-- by none.
--
CREATE SCHEMA shelf;
CREATE SCHEMA attic;
CREATE TYPE shelf.mood AS ENUM ('calm');
CREATE DOMAIN shelf.small AS integer;
CREATE TYPE shelf.spare AS ENUM ('calm');
CREATE DOMAIN shelf.spare_domain AS integer;
CREATE TABLE shelf.book (id integer);
SELECT inval_track('shelf.book', key => 'book:{b}', via =>
	'SELECT {id}::shelf.small AS b WHERE ''calm''::shelf.mood IS NOT NULL') IS NOT NULL AS tracked;

ALTER TYPE shelf.spare RENAME TO idle;
ALTER DOMAIN shelf.spare_domain RENAME TO idle_domain;
ALTER TYPE shelf.idle SET SCHEMA attic;
ALTER DOMAIN shelf.idle_domain SET SCHEMA attic;
ALTER TYPE shelf.nothing RENAME TO something;
ALTER DOMAIN nowhere.nothing SET SCHEMA attic;

ALTER TYPE shelf.mood RENAME TO temper;
ALTER DOMAIN shelf.small RENAME TO little;
SELECT via FROM inval_rule WHERE relation = 'shelf.book'::regclass;
ALTER TYPE shelf.temper SET SCHEMA attic;
ALTER DOMAIN shelf.little SET SCHEMA attic;
SELECT via, broken FROM inval_rule WHERE relation = 'shelf.book'::regclass;
INSERT INTO shelf.book VALUES (1);
SELECT * FROM queued();

SET client_min_messages = warning;
DROP SCHEMA shelf, attic CASCADE;
RESET client_min_messages;
SELECT * FROM queued();
