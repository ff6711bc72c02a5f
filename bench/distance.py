"""A Redis that is half a millisecond away: what sessions that wait for it keep others
from.  Many clients, each in a hurry by itself, together at a rate that the machine can
bear: then all that is lost is what they wait, unless they wait for each other.
"""

import os
import re
import subprocess

import throughput
from servers import end_process, wait_until

CLIENTS = 32
# There and back
AWAY_US = 500
# Transactions per second, of all clients together
RATE = 4000


def run_distance(bench):
    throughput.write_scripts(bench)
    variants = [variant for variant in bench.variants
                if variant.name in ("none", "inval-commit")]
    path = os.path.join(bench.work, "away.sock")
    with subprocess.Popen([bench.client("delay"), path, bench.redis.path, str(AWAY_US // 2)],
                          stdin=subprocess.PIPE) as delay:
        wait_until(lambda: os.path.exists(path), "the delay to listen")
        for variant in variants:
            move(variant, path)
        for number in bench.rounds("distance"):
            for rate in (RATE, None):
                for variant in bench.turn(number, variants):
                    measure(bench, variant, number, rate)
        for variant in variants:
            move(variant, bench.redis.path)
        delay.stdin.close()
        end_process(delay)


def move(variant, path):
    """Tells the server that Redis is there."""
    if variant.name == "none":
        return
    url = f"unix://{path}?db=0"
    variant.cluster.sql(f"ALTER SYSTEM SET inval.redis_url = '{url}'; SELECT pg_reload_conf()")
    wait_until(lambda: variant.cluster.sql("SHOW inval.redis_url") == url,
               "the server to know where Redis is")


def measure(bench, variant, number, rate):
    case = f"{CLIENTS}/{rate or 'all'}"
    command = throughput.pgbench(bench, variant.cluster, "update", CLIENTS,
                                 f"--time={bench.settings.slice_seconds}",
                                 *([f"--rate={rate}"] if rate else []))
    variant.cluster.sql("VACUUM")
    variant.start()
    output = variant.cluster.run(command, asynchronous=True)
    variant.stop()
    bench.add("distance", case, variant, "tps", number,
              float(re.search(r"tps = ([0-9.]+)", output).group(1)))
    bench.add("distance", case, variant, "latency_us", number,
              1000 * float(re.search(r"latency average = ([0-9.]+)", output).group(1)))
