"""Memory of a backend whose transaction touches a million keys.

All of the backend's own memory counts, at its peak.  What inval takes is that
over the no-op trigger's, whose backend queues a million trigger events too.
"""

import subprocess

import bulk
from processes import Memory
from servers import Failure
from variants import Inval

LONG_KEY = "k" * 392 + ":{team_id}"     # about 400 bytes


def run_memory(bench):
    for number in bench.rounds("memory", min(3, bench.settings.rounds)):
        for case in ("short", "long"):
            for variant in bench.turn(number, bench.core_variants()):
                bench.add("memory", case, variant, "peak_mb", number,
                          measure(bench, variant, case))


def measure(bench, variant, case):
    bulk.empty(variant)
    if case == "long" and isinstance(variant, Inval):
        variant.cluster.sql("SELECT inval_untrack('bulk')")
        variant.track_key("bulk", LONG_KEY)
    variant.cluster.checkpoint()
    rows = bench.settings.bulk_rows
    with Session(variant.cluster) as session:
        with Memory(session.pid) as memory:
            session.ask("INSERT INTO bulk SELECT i, i, 0"
                        f" FROM generate_series(1, {rows}) i; SELECT 1;")
    variant.settle(600)
    bulk.empty(variant)
    return memory.peak_mb


class Session:
    """A session that stays open, of which one knows the process."""

    def __init__(self, cluster):
        self.process = subprocess.Popen(
            [cluster.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=cluster.environment)
        self.pid = int(self.ask("SELECT pg_backend_pid();"))

    def ask(self, text):
        """Runs statements; the last of them must give one row."""
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline().strip()
        if not line:
            raise Failure(f"a session ended in: {text}")
        return line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
