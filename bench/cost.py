"""What a transaction costs the process that runs it, counted instead of timed:
instructions (by callgrind), system calls (by strace), context switches (by the
kernel).  One session, one prepared UPDATE by primary key a transaction,
synchronous_commit off.  Noise does not touch these.
"""

import os
import re
import shutil
import subprocess

import ddl
from servers import wait_until

# Two sessions of so many transactions: what they differ by is what a transaction
# takes, whatever starting took.
FEW = 50
MANY = 250

CASES = ["tracked", "untouched"]
PREPARE = "PREPARE change(integer) AS UPDATE {table} SET status = status + 1 WHERE id = $1;\n"


def table_of(case):
    return "plain" if case.startswith("untouched") else "item"


def transactions(first, count):
    return "".join(f"EXECUTE change({first + i});\n" for i in range(count))


class Session:
    """A psql that is talked to."""

    def __init__(self, cluster, table):
        self.process = subprocess.Popen(
            [cluster.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=cluster.client_environment(asynchronous=True))
        self.pid = int(self.ask("SELECT pg_backend_pid();\n"))
        self.ask(PREPARE.format(table=table) + "SELECT 1;\n")

    def ask(self, text):
        """Sends statements of which the last gives a line; returns that."""
        self.process.stdin.write(text)
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def run(self, first, count):
        self.ask(transactions(first, count) + "SELECT 'done';\n")

    def switches(self):
        with open(f"/proc/{self.pid}/status", encoding="utf-8") as file:
            return sum(int(n) for n in re.findall(r"ctxt_switches:\s+(\d+)", file.read()))

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def count_calls(bench, variant, case):
    """System calls and context switches."""
    session = Session(variant.cluster, table_of(case))
    log = os.path.join(bench.work, "log", "strace")
    session.run(1, FEW)
    before = session.switches()
    session.run(1000, MANY)
    switches = session.switches() - before
    with open(log, "w", encoding="utf-8") as file:
        strace = subprocess.Popen(["strace", "-c", "-p", str(session.pid)],
                                  stdin=subprocess.DEVNULL, stdout=file, stderr=file)
    wait_until(lambda: "attached" in open(log, encoding="utf-8").read(), "strace")
    session.run(2000, MANY)
    strace.send_signal(2)
    strace.wait()
    session.end()
    with open(log, encoding="utf-8") as file:
        # Share, seconds, microseconds a call, calls, perhaps errors
        calls = [line.split()[3] for line in file if line.endswith(" total\n")][-1]
    bench.add("cost", case, variant, "system_calls", 1, int(calls) / MANY)
    bench.add("cost", case, variant, "switches", 1, switches / MANY)


def count_instructions(bench, variant, cases):
    """Starts the server once more, under callgrind."""
    cluster = variant.cluster
    directory = os.path.join(bench.work, "callgrind")
    shutil.rmtree(directory, ignore_errors=True)
    os.mkdir(directory)
    cluster.stop()
    cluster.start_process(
        ["valgrind", "--tool=callgrind", "--trace-children=yes",
         f"--callgrind-out-file={directory}/%p", cluster.program("postgres"),
         "-D", cluster.directory], cluster.answers)
    pids = {}
    for case in cases:
        # The first is not counted: it finds nothing in the caches of the server.
        for count in (FEW, FEW, MANY):
            session = Session(cluster, table_of(case))
            session.run(1, count)
            session.end()
            pids[case, count] = session.pid
    for case in cases:
        few, many = (wait_until(lambda path=f"{directory}/{pids[case, count]}": total(path),
                                "callgrind") for count in (FEW, MANY))
        bench.add("cost", case, variant, "instructions", 1, (many - few) / (MANY - FEW))
    cluster.stop()
    cluster.start()


def total(path):
    """The instructions of a process that has ended; None: it has not."""
    if not os.path.exists(path):
        return None
    with open(path, encoding="utf-8", errors="replace") as file:
        found = re.search(r"^totals: (\d+)", file.read(), re.MULTILINE)
    return int(found.group(1)) if found else None


def measure(bench, variant, cases, removes=True):
    """Once its keys are seen to go, if it removes any."""
    if removes:
        variant.start()
    for case in cases:
        count_calls(bench, variant, case)
    if removes:
        variant.stop()
    count_instructions(bench, variant, cases)


def run_cost(bench):
    for variant in bench.variants:
        if variant.base == "none" and (variant.core or variant.name == "inval-strict"):
            bench.say(f"cost: {variant.name}")
            measure(bench, variant, CASES)
    for variant in bench.variants:
        if variant.name != "inval-commit":
            continue
        bench.say("cost: rules that are off, many rules")
        variant.cluster.sql("SELECT inval_track('item', 'id', state => 'off')")
        measure(bench, variant, ["rules off"], removes=False)
        variant.cluster.sql("SELECT inval_track('item', 'id')")
        rules = max(bench.settings.ddl_rules)
        ddl.create_rules(bench, variant, rules)
        measure(bench, variant, [f"untouched, {rules} rules"])
        ddl.drop_rules(variant, rules)
