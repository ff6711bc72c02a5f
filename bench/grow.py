#!/usr/bin/env python3
"""What measured costs mean for more than one machine: how many commits nodes of
PostgreSQL make, how many primaries of a Redis Cluster they need, how many connections
that is.  Arithmetic upon the figures of the last run, so that each can be followed.

usage: grow.py RESULTS [--cores N] [--sessions N] [--busy SHARE]
"""

import argparse
import math
import os
import random
import zlib

from samples import Samples

CASE = "update/8/async"
KEYS = (1, 5)
NODES = (1, 4, 16, 64)


class Costs:
    """Of one commit with one key, microseconds of a processor; of one connection, kB."""

    def __init__(self, samples):
        def median(workload, case, variant, metric):
            return samples.spread(workload, case, variant, metric).median

        def commit(variant, *people):
            return sum(median("throughput", CASE, variant, f"{who}_us") for who in people)

        self.untracked = commit("none", "sessions", "server")
        self.node = commit("inval-commit", "sessions", "server", "workers")
        self.redis = commit("inval-commit", "redis")
        self.background = commit("inval-background", "sessions", "server", "workers")
        self.worker = commit("inval-background", "workers")
        self.in_background = commit("inval-background", "redis")
        self.connection_kb = 1024 * median("sessions", "many", "inval-commit", "redis_mb") \
            / median("sessions", "many", "inval-commit", "connections")
        self.session_kb = median("sessions", "one", "inval-commit", "kb") \
            - median("sessions", "one", "none", "kb")
        self.keys_per_second = median("drain", "backlog", "inval-commit", "keys_per_second")


def primaries_of_commit(keys, primaries, trials=2000):
    """How many primaries a commit with so many keys has to do with, on average: keys
    hashed at random into slots, slots dealt out evenly."""
    draw = random.Random(1)
    touched = 0
    for _ in range(trials):
        touched += len({(zlib.crc32(draw.randbytes(8)) % 16384) * primaries // 16384
                        for _ in range(keys)})
    return touched / trials


def primaries_needed(commits, keys, redis_us, busy):
    """The more there are, the more of them a commit with several keys touches."""
    count = 1
    while commits * primaries_of_commit(keys, count) * redis_us / count > busy * 1e6:
        count += 1
    return count


def table(costs, options):
    print("| nodes | keys of a commit | commits per second | primaries | of which one commit touches"
          " | connections of each | their memory there |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for nodes in NODES:
        commits = nodes * options.cores * options.busy * 1e6 / costs.node
        connections = nodes * options.sessions
        for keys in KEYS:
            primaries = primaries_needed(commits, keys, costs.redis, options.busy)
            print(f"| {nodes} | {keys} | {commits:,.0f} | {primaries}"
                  f" | {primaries_of_commit(keys, primaries):.1f} | {connections:,}"
                  f" | {connections * costs.connection_kb / 1024:,.0f} MB |")


def main():
    parser = argparse.ArgumentParser(prog="grow.py")
    parser.add_argument("results")
    parser.add_argument("--cores", type=int, default=16)
    parser.add_argument("--sessions", type=int, default=200)
    parser.add_argument("--busy", type=float, default=0.7)
    options = parser.parse_args()
    costs = Costs(Samples(os.path.join(options.results, "samples.csv")).load())
    print("| of one commit with one key | µs of a processor |\n|---|---:|")
    for text, value in (
            ("untracked: session and the rest of its server", costs.untracked),
            ("delivery `commit`: the same and the worker", costs.node),
            ("delivery `background`: the same", costs.background),
            ("of which the worker", costs.worker),
            ("Redis, delivery `commit`", costs.redis),
            ("Redis, delivery `background`", costs.in_background)):
        print(f"| {text} | {value:.1f} |")
    print(f"\nA connection takes {costs.connection_kb:.0f} kB in Redis; a session"
          f" {costs.session_kb:.0f} kB more of its own. A worker drains"
          f" {costs.keys_per_second:,.0f} keys a second, and follows"
          f" {math.floor(options.busy * 1e6 / max(costs.worker, 0.1)):,} commits a second"
          " with one key each.\n")
    table(costs, options)


if __name__ == "__main__":
    main()
