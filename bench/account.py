"""Whose processor time a piece of work takes: the program's that asks for it, the
sessions', what else the server runs, inval's workers', the consumers', Redis's.

It tells where the rest of the processors goes when a transaction becomes slower by
more than its session's own work.  Waiting takes none.
"""

import os
import resource

from servers import wait_until

TICK = os.sysconf("SC_CLK_TCK")


def fields(pid):
    """What follows the name in /proc/PID/stat; None: it has ended."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def own_seconds(pid):
    stat = fields(pid)
    return (int(stat[11]) + int(stat[12])) / TICK if stat else 0.0


def ended_seconds(pid):
    """Of its children that have ended."""
    stat = fields(pid)
    return (int(stat[13]) + int(stat[14])) / TICK if stat else 0.0


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
        return [int(child) for child in file.read().split()]


def title(pid):
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().replace("\0", " ")
    except OSError:
        return ""


def is_worker(pid):
    return "inval worker" in title(pid)


def own_usage():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


class Account:
    """While it is entered, adds up; then "seconds" says whose it was.  Between entering
    and leaving only the program that is looked at may be started and ended."""

    def __init__(self, bench, variant):
        self.bench = bench
        self.variant = variant
        self.postmaster = variant.cluster.process.pid
        self.staying = []
        self.seconds = {}

    def read(self):
        workers = [pid for pid in self.staying if is_worker(pid)]
        return {
            "client": own_usage(),
            "sessions": ended_seconds(self.postmaster),
            "server": sum(own_seconds(pid) for pid in self.staying if pid not in workers),
            "workers": sum(own_seconds(pid) for pid in workers),
            "consumers": sum(own_seconds(process.pid) for process in self.variant.processes),
            "redis": own_seconds(self.bench.redis.process.pid)
            + own_seconds(self.bench.memcached.process.pid),
        }

    def __enter__(self):
        self.staying = children(self.postmaster)
        self.before = self.read()
        return self

    def __exit__(self, *_):
        wait_until(lambda: set(children(self.postmaster)) <= set(self.staying),
                   "sessions to end")
        after = self.read()
        self.seconds = {who: after[who] - self.before[who] for who in after}
