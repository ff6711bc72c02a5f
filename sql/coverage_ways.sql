--
-- inval_template_columns: several foreign keys on one column do not multiply
-- with the names of a path.
--
CREATE TABLE many_ways (id integer PRIMARY KEY, a integer, b integer);
CREATE TABLE other_way (id integer PRIMARY KEY, b integer);
DO $$
BEGIN
	FOR i IN 1 .. 8 LOOP
		ALTER TABLE many_ways ADD FOREIGN KEY (a) REFERENCES many_ways;
	END LOOP;
	ALTER TABLE many_ways ADD FOREIGN KEY (a) REFERENCES other_way;
	ALTER TABLE other_way ADD FOREIGN KEY (b) REFERENCES many_ways;
END
$$;
SET statement_timeout = '20s';
SELECT column_name, found FROM inval_template_columns('many_ways'::regclass,
	'{a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.nosuch}{a.a.a.a.b}{a.a.b.a.a.a.b.id}{b.a.id}{a.id.id}');
SELECT count(*) FROM inval_coverage_paths('nosuch');
SELECT path FROM inval_coverage_paths('b') WHERE relation = 'many_ways'::regclass;
RESET statement_timeout;
DROP TABLE many_ways, other_way;
