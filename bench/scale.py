"""What much of everything costs: databases, partitions, rules.

On a cluster of its own. What is compared is the same before anything was tracked.
"""

import statistics
import time

import ddl
from servers import Cluster, wait_until
from wire import Wire, children, private_dirty_kb, processor_ms

CONFIGURATION = """
shared_preload_libraries = 'inval'
inval.redis_url = 'unix://{redis}?db=0'
inval.workers = 8
max_worker_processes = 20
max_connections = 60
max_locks_per_transaction = 2048
synchronous_commit = off
"""

# Each of the databases that are copied from it has another value of the variable.
TRACKED = """
CREATE TABLE item (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0);
INSERT INTO item VALUES (1);
SELECT inval_set_var('name', 'none');
SELECT inval_track('item', key => '{$name}:{id}', delivery => 'background');
"""

# On two levels: with all on one, PostgreSQL itself takes minutes to make them, since each
# new one makes it read the list of the others again.
PARTITIONS = """
CREATE TABLE root (id integer, n integer NOT NULL DEFAULT 0, PRIMARY KEY (id))
	PARTITION BY RANGE (id);
DO $$ BEGIN
	FOR i IN 1..{count} LOOP
		IF i % 100 = 1 THEN
			EXECUTE format('CREATE TABLE branch_%s PARTITION OF root'
				' FOR VALUES FROM (%s) TO (%s) PARTITION BY RANGE (id)', i / 100, i, i + 100);
		END IF;
		EXECUTE format('CREATE TABLE part_%s PARTITION OF branch_%s FOR VALUES FROM (%s) TO (%s)',
			i, (i - 1) / 100, i, i + 1);
		IF i % 100 = 0 THEN COMMIT; END IF;
	END LOOP;
END $$;
INSERT INTO root SELECT generate_series(1, {count});
"""

RULES_ON_ONE = """
CREATE TABLE ruled_{count} (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0);
INSERT INTO ruled_{count} SELECT generate_series(1, 1000);
SELECT count(inval_track('ruled_{count}', key => 'ruled_{count}:' || i || ':{{id}}'))
	FROM generate_series(1, {count}) i;
"""

IDLE_SECONDS = 20


class Scale:
    def __init__(self, bench):
        self.bench = bench
        self.cluster = Cluster(bench.work, bench.bindir, "scale", 99)

    def add(self, case, metric, value, name="inval", number=1):
        self.bench.samples.add("scale", case, name, metric, number, value)

    def cost(self, case, metric, costs, name="inval"):
        """The medians of what statements cost."""
        self.add(case, metric + "_ms", statistics.median(c.ms for c in costs), name)
        self.add(case, metric + "_cpu_ms", statistics.median(c.processor_ms for c in costs),
                 name)

    def start(self):
        self.cluster.create()
        self.cluster.configure(CONFIGURATION.format(redis=self.bench.redis.path))
        self.cluster.start()

    def is_gone(self, key):
        return self.bench.redis.command("EXISTS", key) == 0


def run_scale(bench):
    scale = Scale(bench)
    scale.start()
    # Whatever has rules or a worker of its own comes after what is measured without.
    for number, part in enumerate((measure_rules_on_one, measure_partitions, measure_rules,
                                   measure_databases)):
        database = f"scale_{number}"
        bench.say(f"scale: {part.__name__.removeprefix('measure_').replace('_', ' ')}")
        scale.cluster.sql(f"CREATE DATABASE {database}", database="postgres")
        scale.cluster.sql("CREATE EXTENSION inval", database=database)
        part(scale, database)
        scale.cluster.sql(f"DROP DATABASE {database}", database="postgres")
    scale.cluster.stop()


# --- Rules ---

def measure_rules_on_one(scale, database):
    for count in (1, 10, 100):
        scale.cluster.sql(RULES_ON_ONE.format(count=count), database)
        with Wire(scale.cluster, database) as session:
            scale.cost(f"rules on a table/{count}", "first", [session.timed(
                f"UPDATE ruled_{count} SET n = n + 1 WHERE id = 1")])
            scale.cost(f"rules on a table/{count}", "later", [
                session.timed(f"UPDATE ruled_{count} SET n = n + 1 WHERE id = {i}")
                for i in range(2, 202)])
            scale.add(f"rules on a table/{count}", "kb", session.dirty_kb())


def measure_rules(scale, database):
    """One table's commits, in a database with few and with many rules."""
    scale.cluster.sql("CREATE TABLE item (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0);"
                      "INSERT INTO item SELECT generate_series(1, 1000);"
                      "SELECT inval_track('item', 'id')", database)
    rules = scale.bench.settings.scale_rules
    for count in (1, rules):
        if count > 1:
            scale.cluster.sql("CREATE SCHEMA many", database)
            tables = count // ddl.RULES_PER_TABLE
            scale.cluster.sql(ddl.TABLES.format(tables=tables, schema="many"), database)
            scale.cluster.sql(ddl.RULES.format(tables=tables, schema="many",
                                               each=ddl.RULES_PER_TABLE), database)
        scale.cluster.sql("VACUUM ANALYZE", database)
        with Wire(scale.cluster, database) as session:
            session.ask("SELECT inval_preview('item')")
            scale.cost(f"rules/{count}", "track_one", [
                session.timed(f"SELECT inval_track('item', key => 'more:{count}:{i}:{{id}}')")
                for i in range(10)])
            session.ask(f"SELECT inval_untrack('item', 'more:{count}:' || i || ':{{id}}')"
                        " FROM generate_series(0, 9) i")
        measure_commits(scale, database, f"rules/{count}", "item")
        scale.add(f"rules/{count}", "worker_ms", worker_start_ms(scale, database))
        with Wire(scale.cluster, database) as session:
            session.ask("SELECT 1")
            for view in ("inval_rule", "inval_target_status", "inval_stats"):
                scale.cost(f"rules/{count}", view,
                           [session.timed(f"SELECT count(*) FROM {view}")])


def measure_commits(scale, database, case, table, name="inval"):
    """The first update of a session, the second, and later ones."""
    firsts, seconds, later, memory = [], [], [], []
    for _ in range(5):
        with Wire(scale.cluster, database) as session:
            session.ask("SELECT 1")
            firsts.append(session.timed(f"UPDATE {table} SET n = n + 1 WHERE id = 1"))
            seconds.append(session.timed(f"UPDATE {table} SET n = n + 1 WHERE id = 2"))
            later.extend(session.timed(f"UPDATE {table} SET n = n + 1 WHERE id = 1")
                         for _ in range(100))
            memory.append(session.dirty_kb())
    for metric, costs in (("first", firsts), ("second", seconds), ("later", later)):
        scale.cost(case, metric, costs, name)
    scale.add(case, "kb", statistics.median(memory), name)


def worker_start_ms(scale, database):
    """From the end of a worker until another one delivers, the second that the
    launcher waits included."""
    with Wire(scale.cluster, database) as session:
        wait_until(lambda: session.ask("SELECT worker_pid FROM inval_target_status"),
                   "a worker")
        scale.bench.redis.command("SET", "touched", "old")
        start = time.perf_counter()
        session.ask("SELECT pg_terminate_backend(worker_pid) FROM inval_target_status;"
                    "SELECT inval_touch('touched', delivery => 'background')")
        wait_until(lambda: scale.is_gone("touched"), "the worker to deliver", pause=0.001)
        return (time.perf_counter() - start) * 1e3


# --- Partitions ---

def measure_partitions(scale, database):
    count = scale.bench.settings.scale_partitions
    case = f"partitions/{count}"
    scale.cluster.sql(PARTITIONS.format(count=count), database)
    scale.cluster.sql("VACUUM ANALYZE", database)
    measure_root(scale, database, case, "none", count + 1)
    with Wire(scale.cluster, database) as session:
        scale.cost(case, "track", [session.timed("SELECT inval_track('root', 'id')")])
        scale.cost(case, "again", [session.timed("SELECT inval_track('root', 'id')")])
    scale.cluster.sql("VACUUM ANALYZE", database)
    measure_root(scale, database, case, "inval", count + 101)
    with Wire(scale.cluster, database) as session:
        scale.cost(case, "untrack", [session.timed("SELECT inval_untrack('root')")])


def measure_root(scale, database, case, name, place):
    """"place": where there is no partition yet."""
    for metric, table in (("first", "root"), ("leaf_first", "part_1")):
        statement = f"UPDATE {table} SET n = n + 1 WHERE id = 1"
        with Wire(scale.cluster, database) as session:
            session.ask("SELECT 1")
            scale.cost(case, metric, [session.timed(statement)], name)
            if table == "root":
                scale.cost(case, "later", [session.timed(statement) for _ in range(100)], name)
                scale.add(case, "kb", session.dirty_kb(), name)
    with Wire(scale.cluster, database) as session:
        scale.cost(case, "all", [session.timed("UPDATE root SET n = n + 1")], name)
        scale.add(case, "all_kb", session.dirty_kb(), name)
    places = range(place, place + 10)
    with Wire(scale.cluster, database) as session:
        scale.cost(case, "create", [
            session.timed(f"CREATE TABLE part_{i} PARTITION OF root"
                          f" FOR VALUES FROM ({i}) TO ({i + 1})") for i in places], name)
        scale.cost(case, "drop", [session.timed(f"DROP TABLE part_{i}") for i in places], name)


# --- Databases ---

def measure_databases(scale, database):
    """As many as said, with eight workers: one after the other, and all at once."""
    count = scale.bench.settings.scale_databases
    case = f"databases/{count}"
    names = [f"many_{i}" for i in range(count)]
    cluster = scale.cluster
    add_idle(scale, "databases/1")
    cluster.sql(TRACKED, database)
    with Wire(cluster, "postgres") as session:
        for name in names:
            session.ask(f"CREATE DATABASE {name} TEMPLATE {database}")
    for name in names:
        with Wire(cluster, name) as session:
            session.ask(f"SELECT inval_set_var('name', '{name}')")
    time.sleep(5)       # each is visited once
    add_idle(scale, case)
    add_delivery(scale, case, names)
    with Wire(cluster, "postgres") as session:
        for name in names:
            session.ask(f"DROP DATABASE {name}")


def add_idle(scale, case):
    """What the server takes when nobody does anything."""
    pid = scale.cluster.process.pid
    before = processor_ms(pid)
    time.sleep(IDLE_SECONDS)
    scale.add(case, "idle_ms_per_minute", (processor_ms(pid) - before) * 60 / IDLE_SECONDS)
    workers = [child for child in children(pid) if is_ours(child)]
    scale.add(case, "processes", len(workers))
    scale.add(case, "mb", sum(private_dirty_kb(child) for child in workers) / 1024)


def is_ours(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return "inval" in file.read()
    except OSError:
        return False


def add_delivery(scale, case, names):
    redis = scale.bench.redis
    update = "UPDATE item SET n = n + 1 WHERE id = 1"
    lags = []
    for name in names:
        redis.command("SET", name + ":1", "old")
        with Wire(scale.cluster, name) as session:
            session.ask(update)
            start = time.perf_counter()
            wait_until(lambda key=name + ":1": scale.is_gone(key), "delivery", pause=0.001)
            lags.append((time.perf_counter() - start) * 1e3)
    lags.sort()
    scale.add(case, "one_p50_ms", statistics.median(lags))
    scale.add(case, "one_p95_ms", lags[int(len(lags) * 0.95)])
    scale.add(case, "one_max_ms", lags[-1])
    for name in names:
        redis.command("SET", name + ":1", "old")
    start = time.perf_counter()
    for name in names:
        with Wire(scale.cluster, name) as session:
            session.ask(update)
    scale.add(case, "all_written_ms", (time.perf_counter() - start) * 1e3)
    wait_until(lambda: all(scale.is_gone(name + ":1") for name in names), "delivery",
               pause=0.01)
    scale.add(case, "all_ms", (time.perf_counter() - start) * 1e3)
