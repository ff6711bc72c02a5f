"""Runs the benchmark; started by bench/run, which prepares everything.

usage: main.py WORK BINDIR [option...]

With "-" as WORK it only checks the options.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass

import bulk
import cost
import ddl
import distance
import freshness
import health
import keys
import lookups
import memory
import outage
import processes
import scale
import schema
import sessions
import throughput
from samples import Samples
from servers import Cluster, Failure, Memcached, Redis
from variants import all_variants

WORKLOADS = {
    "throughput": throughput.run_throughput,
    "untouched": throughput.run_untouched,
    "cost": cost.run_cost,
    "wal": throughput.run_wal,
    "distance": distance.run_distance,
    "lookups": lookups.run_lookups,
    "keys": keys.run_keys,
    "ddl": ddl.run_ddl,
    "freshness": freshness.run_freshness,
    "bulk": bulk.run_bulk,
    "bulk-small": bulk.run_bulk_small,
    "memory": memory.run_memory,
    "drain": outage.run_drain,
    "health": health.run_health,
    "sessions": sessions.run_sessions,
    "scale": scale.run_scale,
}


@dataclass
class Settings:
    """How much of everything; the defaults are those of a full run."""
    rounds: int = 5
    throughput_rounds: int = 9
    clients: tuple = (1, 8, 32)
    slice_seconds: int = 2
    scale: int = 16
    item_rows: int = 100000
    bulk_rows: int = 1000000
    bulk_small_rows: int = 100000
    wal_transactions: int = 5000
    ddl_rules: tuple = (0, 100, 10000)
    freshness_seconds: int = 4
    backlog: int = 5000000
    drain_rounds: int = 3
    health_seconds: int = 180
    sessions: int = 1000
    scale_rules: int = 10000
    scale_partitions: int = 10000
    scale_databases: int = 100


# Enough to see that everything works; the figures mean little.
QUICK = Settings(
    rounds=2, throughput_rounds=2, clients=(1, 8), slice_seconds=1, scale=8, bulk_rows=100000,
    bulk_small_rows=10000, wal_transactions=1000, ddl_rules=(0, 100), freshness_seconds=1,
    backlog=300000, drain_rounds=1, health_seconds=20,
    sessions=100, scale_rules=500, scale_partitions=200, scale_databases=12)


class Bench:
    """What the workloads need: servers, variants, settings, and where to
    put what they measure."""

    def __init__(self, work, bindir, results, settings, chosen):
        self.work = work
        self.bindir = bindir
        self.results = results
        self.settings = settings
        self.chosen = chosen                # names given, or None
        self.cores = len(os.sched_getaffinity(0))
        self.redis = Redis(work)
        self.memcached = Memcached(work)
        self.samples = Samples(os.path.join(results, "samples.csv"))
        self.variants = []
        self.started = time.monotonic()
        self.number_of_rounds = 0

    def say(self, text):
        minutes, seconds = divmod(int(time.monotonic() - self.started), 60)
        print(f"== {minutes:2d}:{seconds:02d} {text}", flush=True)

    def client(self, name):
        """The path of one of the programs in bench/client."""
        return os.path.join(os.path.dirname(os.path.abspath(__file__)),
                            "client", name)

    # --- Variants and rounds ---

    def choose_variants(self):
        """Those asked for whose files are there, each with its base."""
        everything = all_variants()
        names = set(self.chosen or (variant.name for variant in everything))
        for variant in reversed(everything):
            if variant.name in names:
                names.add(variant.base)
        for variant in everything:
            if variant.name not in names:
                continue
            if self.is_there(variant):
                self.variants.append(variant)
            else:
                self.say(f"{variant.name} is left out: "
                         f"there is no {variant.library}")

    def is_there(self, variant):
        library = variant.library
        directory = subprocess.run(
            [os.path.join(self.bindir, "pg_config"), "--pkglibdir"],
            capture_output=True, text=True, check=True).stdout.strip()
        return library is None or os.path.exists(
            os.path.join(directory, library))

    def core_variants(self):
        return [variant for variant in self.variants if variant.core]

    def rounds(self, workload, count=None):
        """The numbers of the rounds, announced one by one."""
        self.number_of_rounds = count or self.settings.rounds
        for number in range(1, self.number_of_rounds + 1):
            self.say(f"{workload}: round {number} of {self.number_of_rounds}")
            yield number

    def turn(self, number, variants=None):
        """The variants of a round: each time another goes first, and every
        second time they go backwards.  Unless they were asked for, those that
        no target is about take part in every fourth round."""
        variants = variants or self.variants
        present = [variant for variant in variants
                   if number % 4 == 1 or variant.often or self.chosen]
        shift = number % len(present)
        turned = present[shift:] + present[:shift]
        return turned if number % 2 == 1 else turned[::-1]

    def add(self, workload, case, variant, metric, number, value):
        self.samples.add(workload, case, variant.name, metric, number, value)

    # --- Servers ---

    def start_servers(self):
        self.redis.start()
        self.memcached.start()
        self.say("loading the tables")
        template = Cluster(self.work, self.bindir, "template", 0)
        schema.create_template(self, template)
        clusters = {}
        for number, variant in enumerate(self.variants, 1):
            if variant.cluster_of in clusters:
                variant.bench = self
                variant.cluster = clusters[variant.cluster_of]
                continue
            variant.create(self, number, template)
            clusters[variant.name] = variant.cluster

    def stop_servers(self):
        for cluster in self.clusters():
            cluster.stop()
        self.memcached.stop()
        self.redis.stop()

    def clusters(self):
        """Those of the variants, each once."""
        return {variant.cluster.name: variant.cluster
                for variant in self.variants}.values()


def read_options(arguments):
    parser = argparse.ArgumentParser(
        prog="bench/run", description="Measures inval and what people use instead.")
    parser.add_argument("--quick", action="store_true",
                        help="a few minutes, to check the benchmark itself")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each workload")
    parser.add_argument("--only", metavar="WORKLOAD,...",
                        help="of " + ", ".join(WORKLOADS))
    parser.add_argument("--variants", metavar="NAME,...",
                        help="of " + ", ".join(v.name for v in all_variants()))
    parser.add_argument("--health-seconds", type=int, metavar="N",
                        help="how long the snapshot is held open (180)")
    parser.add_argument("--report", action="store_true",
                        help="measure nothing, write the last run's report again")
    options = parser.parse_args(arguments)
    options.only = split_names(parser, options.only, WORKLOADS)
    options.variants = split_names(
        parser, options.variants, [variant.name for variant in all_variants()])
    return options


def split_names(parser, text, known):
    if text is None:
        return None
    names = text.split(",")
    for name in names:
        if name not in known:
            parser.error(f"there is no {name}")
    return names


def choose_settings(options):
    settings = QUICK if options.quick else Settings()
    if options.rounds:
        settings.rounds = settings.throughput_rounds = options.rounds
    if options.health_seconds:
        settings.health_seconds = options.health_seconds
    return settings


def is_full(options, settings):
    """Whether it is a run whose figures belong into the documentation."""
    least = Settings()
    return not (options.quick or options.only or options.variants) and \
        settings.throughput_rounds >= least.throughput_rounds and \
        settings.health_seconds >= least.health_seconds


def measure(bench, options):
    bench.samples.start_file()
    bench.choose_variants()
    if processes.is_busy():
        bench.say("this machine is busy with something else: the figures will"
                  " be no good")
    machine = processes.describe_machine(bench)
    bench.start_servers()
    for name in options.only or WORKLOADS:
        WORKLOADS[name](bench)
        write_facts(bench, machine, full=False)
    bench.stop_servers()
    write_facts(bench, machine, full=is_full(options, bench.settings))


def write_facts(bench, machine, full):
    """What a report says beside the samples: also of a run that is interrupted."""
    facts = {"machine": machine, "settings": vars(bench.settings),
             "full": full,
             "date": time.strftime("%Y-%m-%d"),
             "minutes": round((time.monotonic() - bench.started) / 60),
             "variants": {v.name: v.description() for v in bench.variants}}
    with open(os.path.join(bench.results, "facts.json"), "w",
              encoding="utf-8") as file:
        json.dump(facts, file, indent=1)


def main():
    work, bindir = sys.argv[1:3]
    options = read_options(sys.argv[3:])
    if work == "-":
        return
    results = os.path.join(work, "results")
    settings = choose_settings(options)
    try:
        measure(Bench(work, bindir, results, settings, options.variants),
                options)
    except Failure as failure:
        sys.exit(f"bench/run: {failure}")


if __name__ == "__main__":
    main()
