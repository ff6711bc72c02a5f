"""Transactions per second of single-row updates whose keys are looked up in
other tables: the same key from the row itself, by a path, by a query.
"""

import throughput

ROWS = 10000

# Each has its own table; the key is the same.
KEYS = {
    "column": "key => 'owner:{owner}'",
    "path": "key => 'owner:{team_id.owner}'",
    "via": "key => 'owner:{owner}', via => 'SELECT owner FROM looked_team WHERE id = {team_id}'",
}
TEAMS = """
CREATE TABLE looked_team (id integer PRIMARY KEY, owner integer);
INSERT INTO looked_team SELECT i, i FROM generate_series(0, 999) i;
"""
TABLE = """
CREATE TABLE looked_{kind} (
	id      integer PRIMARY KEY,
	team_id integer NOT NULL REFERENCES looked_team,
	owner   integer NOT NULL,
	status  integer NOT NULL
) WITH (fillfactor = 80);
INSERT INTO looked_{kind} SELECT i, i % 1000, i % 1000, 0 FROM generate_series(1, {rows}) i;
"""
UPDATE = """\\set id random(1, {rows})
UPDATE looked_{kind} SET status = status + 1 WHERE id = :id;
"""


def prepare(bench, variants):
    for variant in variants:
        variant.cluster.sql(TEAMS)
        for kind, options in KEYS.items():
            variant.cluster.sql(TABLE.format(kind=kind, rows=ROWS))
            if variant.name != "none":
                variant.cluster.sql(f"SELECT inval_track('looked_{kind}', {options})")
        variant.cluster.sql("VACUUM ANALYZE; CHECKPOINT")
    for kind in KEYS:
        with open(throughput.script_path(bench, f"looked-{kind}"), "w",
                  encoding="utf-8") as file:
            file.write(UPDATE.format(kind=kind, rows=ROWS))


def run_lookups(bench):
    variants = [variant for variant in bench.variants
                if variant.name in ("none", "inval-commit")]
    prepare(bench, variants)
    for number in bench.rounds("lookups"):
        for kind in KEYS:
            for clients in (1, 8):
                for variant in bench.turn(number, variants):
                    bench.add("lookups", f"{kind}/{clients}/async", variant, "tps", number,
                              throughput.measure(bench, variant, f"looked-{kind}",
                                                 clients, True)[0])
    for variant in variants:
        variant.cluster.sql("SET client_min_messages = warning;"
                            "DROP TABLE looked_team, "
                            + ", ".join(f"looked_{kind}" for kind in KEYS))
