"""Updates at full speed while another session holds a snapshot open.

An old snapshot keeps dead rows in tables.  Those of the updated table are not
what is looked for: it has room in its pages for a second version of each row,
and so many rows that none is updated twice.  What is left is the outbox.
"""

import os
import re
import subprocess
import time

from memory import Session
from samples import quantile
from throughput import pgbench, write_scripts

CLIENTS = 8
PROBE_SECONDS = 3

TABLE = """
DROP TABLE IF EXISTS item_once;
CREATE TABLE item_once (
	id     integer PRIMARY KEY,
	status integer NOT NULL
) WITH (fillfactor = 45);
INSERT INTO item_once SELECT i, 0 FROM generate_series(1, {rows}) i;
VACUUM ANALYZE item_once;
CHECKPOINT;
"""

# Each client goes through rows of its own.
SCRIPT = """\\set n :n + 1
\\set id (:client_id + {clients} * :n) % {rows} + 1
UPDATE item_once SET status = status + 1 WHERE id = :id;
"""


def run_health(bench):
    write_scripts(bench)
    names = bench.chosen or ["inval-commit"]
    for variant in bench.variants:
        if variant.name in names and not variant.name.startswith("client"):
            measure(bench, variant)


def rows_needed(bench, variant, seconds):
    """More rows than updates can be made in that time."""
    output = variant.cluster.run(pgbench(
        bench, variant.cluster, "update", CLIENTS, f"--time={PROBE_SECONDS}"))
    tps = float(re.search(r"tps = ([0-9.]+)", output).group(1))
    return int(max(100000, 1.5 * tps * seconds))


def measure(bench, variant):
    cluster = variant.cluster
    seconds = bench.settings.health_seconds
    bench.say(f"health: {variant.name}, {seconds} seconds")
    rows = rows_needed(bench, variant, seconds)
    cluster.sql(TABLE.format(rows=rows))
    variant.track("item_once", "id")
    path = os.path.join(bench.work, "health.pgbench")
    with open(path, "w", encoding="utf-8") as file:
        file.write(SCRIPT.format(clients=CLIENTS, rows=rows))
    command = [cluster.program("pgbench"), "--no-vacuum", "--protocol=prepared",
               f"--client={CLIENTS}", f"--jobs={bench.cores}", "--progress=1",
               f"--time={seconds}", "--define=n=0", "--file=" + path]

    variant.start()
    with Session(cluster) as snapshot:
        snapshot.ask("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1;")
        speeds, sizes = watch(bench, variant, command)
        variant.settle()
        end_size = smallest_size(variant)
    variant.stop()
    cluster.sql("DROP TABLE item_once")
    write_curve(bench, variant, speeds, sizes)
    report(bench, variant, speeds, sizes, end_size)


def watch(bench, variant, command):
    """Transactions per second, and megabytes of the outbox, each second."""
    progress = os.path.join(bench.work, "log", "health")
    sizes = []
    with open(progress, "w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=log, env=variant.cluster.client_environment())
        while process.poll() is None:
            sizes.append(outbox_mb(variant))
            time.sleep(1)
    with open(progress, encoding="utf-8") as log:
        speeds = [float(speed) for speed in
                  re.findall(r"^progress: .* s, ([0-9.]+) tps", log.read(),
                             re.MULTILINE)]
    return speeds, sizes


def outbox_mb(variant):
    if not variant.outbox_tables:
        return 0.0
    return variant.cluster.number(
        "SELECT coalesce(sum(pg_total_relation_size(oid)), 0) / 1048576.0"
        f" FROM pg_class WHERE relname LIKE '{variant.outbox_tables}'"
        " AND relkind IN ('r', 'm')")


def smallest_size(variant, seconds=10):
    """What is left of the outbox once there was time to empty it, the
    snapshot still being open."""
    smallest = outbox_mb(variant)
    for _ in range(seconds):
        time.sleep(1)
        smallest = min(smallest, outbox_mb(variant))
    return smallest


def report(bench, variant, speeds, sizes, end_size):
    window = min(60, max(1, len(speeds) // 5))
    first = sum(speeds[:window]) / window
    last = sum(speeds[-window:]) / window
    middle = len(sizes) // 2
    # An outbox below a megabyte is as good as none.
    growth = max(1, *sizes[middle:]) / max(1, *sizes[:middle])
    for metric, value in (
            ("tps_first", first), ("tps_last", last),
            ("last_over_first", last / first),
            ("outbox_mb_median", quantile(sorted(sizes), 0.5)),
            ("outbox_mb_max", max(sizes)), ("outbox_growth", growth),
            ("outbox_mb_at_end", end_size)):
        bench.add("health", "snapshot", variant, metric, 1, value)


def write_curve(bench, variant, speeds, sizes):
    path = os.path.join(bench.results, f"health-{variant.name}")
    with open(path, "w", encoding="utf-8") as file:
        for second, speed in enumerate(speeds):
            size = sizes[min(second, len(sizes) - 1)]
            file.write(f"{second + 1} {speed:.1f} {size:.3f}\n")
