"""What kinds of keys cost: one statement on a table whose key comes from a column of
some type, by a path or by a query, beside the same with the simplest.  Delivery
"background", so that it is the session's own work that is timed.
"""

# What a column's values are made of
TYPES = {
    "text": ("text", "'v' || i"),
    "integer": ("integer", "i"),
    "citext": ("citext", "('v' || i)::citext"),
    "interval": ("interval", "make_interval(secs => i)"),
    "array": ("integer[]", "ARRAY[i, i + 1]"),
    "range": ("int4range", "int4range(i, i + 1)"),
    "composite": ("pair", "ROW(i, 'x')::pair"),
}
ONCE = """
CREATE EXTENSION citext;
CREATE TYPE pair AS (a integer, b text);
CREATE TABLE kept_team (id integer PRIMARY KEY, owner integer);
INSERT INTO kept_team SELECT i, i FROM generate_series(0, 999) i;
CREATE TABLE kept_member (team_id integer, who integer);
INSERT INTO kept_member SELECT i % 1000, i FROM generate_series(1, 10000) i;
CREATE INDEX ON kept_member (team_id);
ANALYZE kept_team, kept_member;
"""
AWAY = """
SET client_min_messages = warning;
DROP TABLE kept_team, kept_member;
DROP TYPE pair;
DROP EXTENSION citext;
"""

# The same 1,000 parents each, of whom the query gives ten rows
LOOKED = {
    "column": "key => 'kept:{team_id}'",
    "path": "key => 'kept:{team_id.owner}'",
    "via": "key => 'kept:{who}', via => 'SELECT who FROM kept_member WHERE team_id = {team_id}'",
}


def run_keys(bench):
    for variant in bench.variants:
        if variant.name == "inval-background":
            variant.cluster.sql(ONCE)
            for number in bench.rounds("keys"):
                for kind in turned(TYPES, number):
                    measure_type(bench, variant, kind, number)
                for kind in turned(LOOKED, number):
                    measure_looked(bench, variant, kind, number)
            variant.cluster.sql(AWAY)


def turned(kinds, number):
    names = list(kinds)
    shift = number % len(names)
    return names[shift:] + names[:shift]


def measure_type(bench, variant, kind, number):
    name, expression = TYPES[kind]
    rows = bench.settings.bulk_small_rows
    measure(bench, variant, number, "insert", kind,
            f"CREATE TABLE kept (id integer PRIMARY KEY, k {name})",
            "key => 'kept:{k}'",
            f"INSERT INTO kept SELECT i, {expression} FROM generate_series(1, {rows}) i")


def measure_looked(bench, variant, kind, number):
    rows = bench.settings.bulk_small_rows
    measure(bench, variant, number, "update", kind,
            "CREATE TABLE kept (id integer PRIMARY KEY, status integer NOT NULL,"
            " team_id integer NOT NULL REFERENCES kept_team);"
            f"INSERT INTO kept SELECT i, 0, i % 1000 FROM generate_series(1, {rows}) i",
            LOOKED[kind], "UPDATE kept SET status = status + 1")


def measure(bench, variant, number, case, kind, table, options, statement):
    cluster = variant.cluster
    cluster.sql(table)
    cluster.sql(f"SELECT inval_track('kept', {options}, delivery => 'background')")
    cluster.checkpoint()
    seconds, _ = cluster.timed(statement)
    bench.samples.add("keys", case, kind, "seconds", number, seconds)
    # A table that goes is read first.
    cluster.sql("DELETE FROM kept; SET client_min_messages = warning; DROP TABLE kept")
    variant.settle(600)
