"""What commands cost that no rule has to do with, with many rules in the
database: milliseconds for each, as psql times them.
"""

import re
import statistics

RULES_PER_TABLE = 10

# Parents that paths lead to, and tables that will have the rules.
TABLES = """
DO $$ BEGIN
	FOR i IN 1..{tables} LOOP
		EXECUTE format('CREATE TABLE {schema}.parent_%s (id integer PRIMARY KEY, team_id integer)', i);
		EXECUTE format('CREATE TABLE {schema}.child_%s (id integer PRIMARY KEY,'
			' parent_id integer REFERENCES {schema}.parent_%s)', i, i);
		IF i % 20 = 0 THEN COMMIT; END IF;
	END LOOP;
END $$;
"""
RULES = """
DO $$ BEGIN
	FOR i IN 1..{tables} LOOP
		FOR j IN 1..{each} LOOP
			PERFORM inval_track(format('{schema}.child_%s', i)::regclass,
				key => format(CASE WHEN j % 2 = 0 THEN '%s:{{id}}' ELSE '%s:{{parent_id.team_id}}' END, j));
		END LOOP;
		COMMIT;
	END LOOP;
END $$;
"""

# In one session, one after the other.
STATEMENTS = {
    "create table": "CREATE TABLE other (id integer PRIMARY KEY, n integer, note text)",
    "add column": "ALTER TABLE other ADD COLUMN more integer",
    "rename column": "ALTER TABLE other RENAME COLUMN more TO less",
    "alter type": "ALTER TABLE other ALTER COLUMN n TYPE bigint",
    "create index": "CREATE INDEX other_n ON other (n)",
    "truncate": "TRUNCATE other",
    "create view": "CREATE VIEW other_view AS SELECT id, n FROM other",
    "replace view": "CREATE OR REPLACE VIEW other_view AS SELECT id, n, note FROM other",
    "create function": "CREATE FUNCTION other_n(integer) RETURNS bigint LANGUAGE sql"
                       " AS 'SELECT n FROM other WHERE id = $1'",
    "grant": "GRANT SELECT ON other TO PUBLIC",
    "rename schema": "ALTER SCHEMA other_place RENAME TO other_room",
    "drop function": "DROP FUNCTION other_n(integer) CASCADE",
    "drop table": "DROP TABLE other CASCADE",
    "temporary table": "CREATE TEMPORARY TABLE passing ON COMMIT DROP AS SELECT 1 AS n",
}
REPETITIONS = 20

# What the server takes for having event triggers at all.
NOOP = """
CREATE FUNCTION noop_event() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER noop_start ON ddl_command_start EXECUTE FUNCTION noop_event();
CREATE EVENT TRIGGER noop_end ON ddl_command_end EXECUTE FUNCTION noop_event();
CREATE EVENT TRIGGER noop_drop ON sql_drop EXECUTE FUNCTION noop_event();
"""


def create_rules(bench, variant, rules):
    schema = f"rules_{rules}"
    tables = rules // RULES_PER_TABLE
    variant.cluster.sql(f"CREATE SCHEMA {schema}")
    variant.cluster.sql(TABLES.format(tables=tables, schema=schema))
    if variant.name == "inval-commit":
        variant.cluster.sql(RULES.format(tables=tables, schema=schema,
                                         each=RULES_PER_TABLE))


def measure(bench, variant, rules, number):
    """The median of each statement, in milliseconds.  What earlier ones have left
    in the catalogs would weigh more than what is measured."""
    variant.cluster.sql("VACUUM FULL")
    script = "SET client_min_messages = warning;\n"
    for _ in range(REPETITIONS):
        script += "CREATE SCHEMA other_place;\n\\timing on\n"
        script += "".join(text + ";\n" for text in STATEMENTS.values())
        script += "\\timing off\nDROP SCHEMA other_room;\n"
    times = [float(ms) for ms in
             re.findall(r"Time: ([0-9.]+) ms", variant.cluster.sql(script))]
    for place, name in enumerate(STATEMENTS):
        bench.add("ddl", f"{name}/{rules}", variant, "milliseconds", number,
                  statistics.median(times[place::len(STATEMENTS)]))


def run_ddl(bench):
    variants = [variant for variant in bench.variants
                if variant.name in ("none", "noop", "inval-commit")]
    for variant in variants:
        if variant.name == "noop":
            variant.cluster.sql(NOOP)
    for rules in bench.settings.ddl_rules:
        if rules > 0:
            bench.say(f"ddl: making {rules} rules")
            for variant in variants:
                create_rules(bench, variant, rules)
        for number in bench.rounds("ddl"):
            for variant in bench.turn(number, variants):
                measure(bench, variant, rules, number)
    for variant in variants:
        for rules in bench.settings.ddl_rules:
            if rules > 0:
                drop_rules(variant, rules)
        if variant.name == "noop":
            variant.cluster.sql("DROP FUNCTION noop_event() CASCADE")


def drop_rules(variant, rules):
    """In several transactions, for the sake of the table of locks."""
    variant.cluster.sql(
        "SET client_min_messages = warning;"
        "DO $$ BEGIN"
        f" FOR i IN 1..{rules // RULES_PER_TABLE} LOOP"
        f"  EXECUTE format('DROP TABLE rules_{rules}.child_%s, rules_{rules}.parent_%s', i, i);"
        "   IF i % 20 = 0 THEN COMMIT; END IF;"
        " END LOOP; END $$;"
        f"DROP SCHEMA rules_{rules}")
