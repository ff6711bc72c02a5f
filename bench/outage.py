"""What happens when Redis was away: the drain of a backlog.

Redis stops answering; transactions leave a backlog of invalidations; Redis
answers again, still with all the keys.  The rate is that at which keys vanish
from Redis, which is asked fifty times a second how many it has.  Another
client reads from it once a millisecond meanwhile.
"""

import os
import subprocess
import time

import bulk
from processes import Memory
from samples import quantile
from servers import wait_until

KEYS_PER_TRANSACTION = 100000
SAMPLE_SECONDS = 0.02


def run_drain(bench):
    variants = [variant for variant in bench.variants
                if variant.name == "inval-commit"]
    for number in bench.rounds("drain", bench.settings.drain_rounds):
        for variant in variants:
            measure(bench, variant, number)


def leave_backlog(bench, variant, keys):
    bench.redis.command("FLUSHALL")
    bench.redis.fill("bulk", keys)
    bulk.empty(variant)
    bench.redis.freeze()
    for first in range(1, keys + 1, KEYS_PER_TRANSACTION):
        last = min(first + KEYS_PER_TRANSACTION - 1, keys)
        variant.cluster.sql("INSERT INTO bulk SELECT i, i, 0"
                            f" FROM generate_series({first}, {last}) i")
    variant.cluster.checkpoint()


def measure(bench, variant, number):
    keys = bench.settings.backlog
    variant.start()
    leave_backlog(bench, variant, keys)
    latency = subprocess.Popen(
        [bench.client("latency"), bench.redis.address, "1000"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with Memory(worker_pid(variant)) as memory:
        thawed = time.monotonic()
        bench.redis.thaw()
        curve = watch(bench, variant, keys, thawed)
    latencies = read_latencies(latency, thawed + curve[0][0],
                               thawed + curve[-1][0])
    variant.stop()
    bulk.empty(variant)
    variant.settle()

    write_curve(bench, number, curve)
    for metric, value in rates(curve, keys).items():
        bench.add("drain", "backlog", variant, metric, number, value)
    bench.add("drain", "backlog", variant, "worker_mb", number, memory.peak_mb)
    for metric, value in latencies.items():
        bench.add("drain", "backlog", variant, metric, number, value)


def worker_pid(variant):
    return int(variant.cluster.number("SELECT worker_pid FROM inval_target_status"))


def watch(bench, variant, keys, thawed):
    """The keys that are left, as pairs of seconds and keys."""
    curve = [(0.0, keys)]

    def is_drained():
        left = bench.redis.command("DBSIZE")
        curve.append((time.monotonic() - thawed, left))
        return left == 0

    wait_until(is_drained, f"{variant.name} to drain {keys} keys", 600,
               SAMPLE_SECONDS)
    return curve


def rates(curve, keys):
    # From the last look that saw nearly all to the first that saw hardly any.
    start, most = [point for point in curve if point[1] >= 0.99 * keys][-1]
    end, least = next(point for point in curve if point[1] <= 0.01 * keys)
    return {
        "keys_per_second": (most - least) / (end - start),
        "seconds_to_first": next(when for when, left in curve if left < keys),
        "seconds_to_last": curve[-1][0],
    }


def read_latencies(process, start, end):
    """In milliseconds, of the reads that were asked in that time.  The
    program's clock is ours."""
    process.stdin.close()
    lines = [line.split() for line in process.stdout]
    process.wait()
    values = sorted(float(took) / 1e3 for asked, took in lines
                    if start <= float(asked) / 1e6 <= end)
    return {
        "redis_p50_ms": quantile(values, 0.5),
        "redis_p99_ms": quantile(values, 0.99),
        "redis_max_ms": values[-1],
    }


def write_curve(bench, number, curve):
    path = os.path.join(bench.results, f"drain-{number}")
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(f"{when:.3f} {left}\n" for when, left in curve)
