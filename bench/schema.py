"""The tables that everything is measured with."""

# What is tracked, and the columns that the keys are made of.
TRACKED = {"item": "id", "bulk": "team_id", "pgbench_accounts": "aid"}

BULK = """
CREATE TABLE bulk (
	id      integer PRIMARY KEY,
	team_id integer NOT NULL,
	status  integer NOT NULL
);
"""

# Room in each page, so that most updates of a row stay in its page, as one
# would set up a table that is updated often.
ITEMS = """
CREATE TABLE {name} (
	id      integer PRIMARY KEY,
	team_id integer NOT NULL,
	status  integer NOT NULL,
	note    text NOT NULL
) WITH (fillfactor = 80);
INSERT INTO {name}
	SELECT i, i % 1000, 0, repeat('x', 60) FROM generate_series(1, {rows}) i;
"""


def create_template(bench, cluster):
    """Makes the cluster that those of all variants are copies of."""
    cluster.create()
    cluster.configure()
    cluster.start()
    cluster.sql("CREATE DATABASE bench", database="postgres")
    cluster.sql(BULK)
    for name in ("item", "plain"):
        cluster.sql(ITEMS.format(name=name, rows=bench.settings.item_rows))
    cluster.run([cluster.program("pgbench"), "--initialize", "--quiet",
                 f"--scale={bench.settings.scale}"])
    cluster.sql("VACUUM ANALYZE; CHECKPOINT")
    cluster.stop()
