"""What a session costs, and many that do next to nothing.

Memory is what only the process of a session has, and has written to. A session of
inval's has committed one tracked update, and so has a connection to Redis.
"""

import re
import resource
import statistics

import throughput
from wire import Wire, children, private_dirty_kb

ACTIVE = 8
FEW = 10        # of whom the median is one session

MORE = "max_connections = {connections}\n"
LIMITED = "inval.max_connections = {limit}\n"


def run_sessions(bench):
    """Restarts the clusters with room for all sessions, and once more without."""
    sessions = bench.settings.sessions
    variants = [variant for variant in bench.variants
                if variant.name in ("none", "noop", "inval-commit")]
    throughput.write_scripts(bench)
    allow_files(2 * sessions + 200)
    for variant in variants:
        restart(bench, variant, MORE.format(connections=sessions + 100))
    throughput.warm_up(bench)
    for number in bench.rounds("sessions", min(3, bench.settings.rounds)):
        for variant in bench.turn(number, variants):
            measure_one(bench, variant, number)
            measure_many(bench, variant, number, "")
    for variant in variants:
        if variant.name == "inval-commit":
            limit = sessions // 10
            restart(bench, variant, MORE.format(connections=sessions + 100)
                    + LIMITED.format(limit=limit))
            for number in bench.rounds("sessions, limited", min(3, bench.settings.rounds)):
                measure_many(bench, variant, number, ", limited")
    for variant in variants:
        restart(bench, variant, "")


def restart(bench, variant, configuration):
    variant.cluster.stop()
    variant.cluster.configure(variant.configuration.format(
        redis=bench.redis.path, memcached=bench.memcached.path) + configuration)
    variant.cluster.start()
    variant.settle()


def allow_files(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE,
                           (count if hard == resource.RLIM_INFINITY else min(count, hard), hard))


def update(number):
    return f"UPDATE item SET status = status + 1 WHERE id = {number + 1}"


def connections(bench):
    """How many clients Redis has."""
    return int(re.search(r"connected_clients:(\d+)",
                         bench.redis.command("INFO", "clients")).group(1))


def clients_kb(bench):
    """What Redis needs for them."""
    return int(re.search(r"mem_clients_normal:(\d+)",
                         bench.redis.command("INFO", "memory")).group(1)) / 1024


def measure_one(bench, variant, number):
    before = connections(bench)
    sessions = [Wire(variant.cluster) for _ in range(FEW)]
    for place, session in enumerate(sessions):
        session.ask(update(place))
    bench.add("sessions", "one", variant, "kb", number,
              statistics.median(session.dirty_kb() for session in sessions))
    bench.add("sessions", "one", variant, "connections", number,
              (connections(bench) - before) / FEW)
    for session in sessions:
        session.close()


def measure_many(bench, variant, number, limited):
    """The active ones by themselves, and beside all the others."""
    idle = bench.settings.sessions - ACTIVE
    alone = throughput.measure(bench, variant, "update", ACTIVE, True)[0]
    before = connections(bench), clients_kb(bench)
    sessions = [Wire(variant.cluster) for _ in range(idle)]
    for place, session in enumerate(sessions):
        session.ask(update(place))
    case = "many" + limited
    bench.add("sessions", case, variant, "connections", number,
              connections(bench) - before[0])
    bench.add("sessions", case, variant, "redis_mb", number,
              max(0, clients_kb(bench) - before[1]) / 1024)
    bench.add("sessions", case, variant, "mb", number,
              sum(private_dirty_kb(pid)
                  for pid in children(variant.cluster.process.pid)) / 1024)
    if variant.name == "inval-commit":
        variant.cluster.sql("SELECT inval_stats_reset()")
    beside = throughput.measure(bench, variant, "update", ACTIVE, True)[0]
    bench.add("sessions", case, variant, "tps_alone", number, alone)
    bench.add("sessions", case, variant, "tps", number, beside)
    bench.add("sessions", case, variant, "ratio", number, beside / alone)
    if variant.name == "inval-commit":
        bench.add("sessions", case, variant, "at_commit_percent", number,
                  throughput.share_at_commit(variant))
    for session in sessions:
        session.close()
