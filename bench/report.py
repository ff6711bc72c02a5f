"""Writes the report of a run: tables, plots, targets.

usage: report.py RESULTS [DOCUMENT]

RESULTS is a directory with what main.py left.  The report goes there, as
performance.md and plots beside it, and between the markers of the document if
one is named, with the plots in a directory named as it is.
"""

import json
import os
import re
import shutil
import sys

import plots
from samples import Samples
from targets import read_targets

BEGIN = "<!-- begin: written by bench/run -->"
END = "<!-- end: written by bench/run -->"


# Of the workload "scale": kind of case, metric, what it is, digits.
SCALE = [
    ("databases", "processes", "launcher and workers: processes", 0),
    ("databases", "mb", "their memory, MB", 1),
    ("databases", "idle_ms_per_minute", "processor time of the idle server, ms a minute", 0),
    ("databases", "one_p50_ms", "from commit to delivery in the background, one database after"
                                " the other, p50", 1),
    ("databases", "one_p95_ms", "p95", 1),
    ("databases", "one_max_ms", "longest", 1),
    ("databases", "all_written_ms", "a commit in each, one session after the other", 0),
    ("databases", "all_ms", "from the first until all are delivered", 0),
    ("partitions", "track_ms", "inval_track of their root", 0),
    ("partitions", "again_ms", "the same call again", 0),
    ("partitions", "untrack_ms", "inval_untrack", 0),
    ("partitions", "first_ms", "first update in a session, of the root", 1),
    ("partitions", "later_ms", "later ones", 2),
    ("partitions", "leaf_first_ms", "first update in a session, of a partition", 1),
    ("partitions", "kb", "memory of such a session, kB", 0),
    ("partitions", "all_ms", "an update of a row in each", 0),
    ("partitions", "all_kb", "memory of that session, kB", 0),
    ("partitions", "create_ms", "CREATE TABLE PARTITION OF", 1),
    ("partitions", "drop_ms", "DROP of one", 1),
    ("rules", "track_one_ms", "inval_track", 2),
    ("rules", "first_ms", "first update in a session, of a table with one rule", 2),
    ("rules", "second_ms", "second update", 2),
    ("rules", "later_ms", "later ones", 2),
    ("rules", "kb", "memory of such a session, kB", 0),
    ("rules", "worker_ms", "from the end of a worker until the next one delivers", 0),
    ("rules", "inval_rule_ms", "count(*) of inval_rule", 1),
    ("rules", "inval_target_status_ms", "of inval_target_status", 1),
    ("rules", "inval_stats_ms", "of inval_stats", 1),
    ("rules on a table", "first_ms", "first update in a session", 2),
    ("rules on a table", "later_ms", "later ones", 2),
    ("rules on a table", "kb", "memory of such a session, kB", 0),
]


class Report:
    def __init__(self, results):
        self.results = results
        self.samples = Samples(os.path.join(results, "samples.csv")).load()
        with open(os.path.join(results, "facts.json"), encoding="utf-8") as file:
            self.facts = json.load(file)
        self.variants = list(self.facts["variants"])
        self.lines = []

    # --- Writing ---

    def add(self, *lines):
        self.lines.extend(lines)

    def heading(self, text):
        self.add("", "### " + text, "")

    def table(self, header, rows):
        self.add("| " + " | ".join(header) + " |",
                 "|" + "---|" * len(header))
        for row in rows:
            self.add("| " + " | ".join(row) + " |")

    def plot(self, name, text):
        self.add("", f"![{text}](performance/{name}.svg)")

    # --- Numbers as text ---

    def spread(self, spread, digits=2):
        """The median, and in small print between what the rounds were."""
        if spread is None:
            return ""
        text = number(spread.median, digits)
        if spread.count > 1:
            text += (f" <sub>{number(spread.low, digits)}–"
                     f"{number(spread.high, digits)}</sub>")
        return text

    def ratio(self, workload, case, variant, metric, digits=2, base=None):
        return self.spread(self.samples.ratio(
            workload, case, variant, metric, base or base_of(variant)), digits)

    def value(self, workload, case, variant, metric, digits=2):
        return self.spread(self.samples.spread(
            workload, case, variant, metric), digits)

    # --- Sections ---

    def introduction(self):
        facts = self.facts
        self.add(f"Measured on {facts['date']} by `make bench` in"
                 f" {facts['minutes']} minutes. Numbers are medians over rounds;"
                 " the small print says between which values the rounds were. A"
                 " ratio compares measurements of the same round."
                 + ("" if facts["full"] else
                    " **This was not a full run: the figures mean little, and"
                    " sizes may be smaller than the targets say.**"), "")
        self.table(["machine", ""], facts["machine"].items())

    def targets(self):
        self.heading("Targets")
        rows = []
        for target in read_targets():
            spread = target.measured(self.samples)
            if spread is None:
                continue
            bound = ("≥ " if target.at_least else "≤ ") + number(target.bound)
            rows.append([target.text, target.variant, bound, self.spread(spread, 3),
                         "yes" if target.is_met(spread) else "**no**"])
        self.table(["what", "variant", "target", "measured", "met"], rows)

    def throughput(self):
        for script, title in (("update", "Single-row update"),
                              ("standard", "pgbench's standard script")):
            cases = [case for case in self.samples.cases("throughput")
                     if case.startswith(script + "/")]
            if not cases:
                continue
            self.heading(f"{title}: transactions per second, as ratios")
            rows = []
            for variant in self.variants:
                if variant in ("none", "client-floor"):
                    show = self.value
                    name = f"{variant} (per second)"
                    digits = 0
                else:
                    show, name, digits = self.ratio, variant, 2
                rows.append([name] + [
                    show("throughput", case, variant, "tps", digits)
                    for case in cases])
            self.table(["clients, commits"] + [case_title(c) for c in cases], rows)
            share = [value for case in cases for value in self.samples.rounds(
                "throughput", case, "inval-commit", "at_commit_percent").values()]
            if share:
                self.add("", "Keys that inval-commit delivered at commit, the"
                         f" least of all slices: {number(min(share), 1)} %.")
            self.plot(f"throughput-{script}", title)
            self.processor(title, cases)

    def processor(self, title, cases):
        """Whose time it was, with eight clients that wait for no disk."""
        case = next((case for case in cases if case.endswith("/8/async")), None)
        if case is None:
            return
        self.add("", f"{title}, 8 asynchronous clients: processor time of a transaction,"
                     " microseconds, by whose it was. The server's others are its own background"
                     " processes.", "")
        people = ("client", "sessions", "server", "workers", "consumers", "redis")
        rows = []
        for variant in self.measured("throughput", case, "sessions_us"):
            spreads = [self.samples.spread("throughput", case, variant, f"{who}_us")
                       for who in people]
            rows.append([variant] + [number(spread.median, 1) for spread in spreads]
                        + [number(sum(spread.median for spread in spreads), 1)])
        self.table(["", "client", "sessions", "server's others", "inval's workers", "consumer",
                    "Redis", "all"], rows)

    def untouched(self):
        if not self.samples.has("untouched"):
            return
        self.heading("A transaction that touches no tracked table: tps, as ratios")
        cases = self.samples.cases("untouched")
        rows = [[variant] + [self.ratio("untouched", case, variant, "tps", 3)
                             for case in cases]
                for variant in self.variants
                if self.samples.spread("untouched", cases[0], variant, "tps")
                and variant != "none"]
        self.table(["clients, commits"] +
                   [case_title("update/" + case) for case in cases], rows)

    def cost(self):
        if not self.samples.has("cost"):
            return
        self.heading("What a transaction costs, counted")
        self.add("In the process that runs it: one session, one prepared UPDATE by primary key"
                 " a transaction, synchronous_commit off. Instructions by callgrind, those of the"
                 " kernel not among them; system calls by strace. Untouched: the updated table is"
                 " not tracked.", "")
        rows = []
        for case in self.samples.cases("cost"):
            for variant in self.measured("cost", case, "instructions"):
                base = "untouched" if case.startswith("untouched") else "tracked"
                none = self.samples.spread("cost", base, "none", "instructions")
                own = self.samples.spread("cost", case, variant, "instructions")
                rows.append([case, variant, number(own.median, 0),
                             number(own.median / none.median, 3) if none else "",
                             self.value("cost", case, variant, "system_calls", 1),
                             self.value("cost", case, variant, "switches", 1)])
        self.table(["", "variant", "instructions", "over none", "system calls",
                    "context switches"], rows)

    def lookups(self):
        if not self.samples.has("lookups"):
            return
        self.heading("Keys that are looked up: tps of single-row updates, as ratios")
        self.add("The same key from a column of the row, by a path to another table, and"
                 " by a query (`via`).", "")
        cases = self.samples.cases("lookups")
        self.table(["key, clients, commits", "none (per second)", "inval-commit"], [
            [case.replace("/", ", "), self.value("lookups", case, "none", "tps", 0),
             self.ratio("lookups", case, "inval-commit", "tps")]
            for case in cases])

    def distance(self):
        if not self.samples.has("distance"):
            return
        self.heading("Redis half a millisecond away: 32 clients that do not wait for disks")
        self.add("Single-row updates; at a rate that the machine can bear, of all clients"
                 " together, and as fast as they can.", "")
        self.table(["", "none, per second", "none, latency in µs", "inval-commit",
                    "its latency in µs"], [
            ["as fast as they can" if case.endswith("/all")
             else f"{int(case.split('/')[1]):,} per second",
             self.value("distance", case, "none", "tps", 0),
             self.value("distance", case, "none", "latency_us", 0),
             self.ratio("distance", case, "inval-commit", "tps"),
             self.value("distance", case, "inval-commit", "latency_us", 0)]
            for case in self.samples.cases("distance")])

    def keys(self):
        if not self.samples.has("keys"):
            return
        rows = self.facts["settings"]["bulk_small_rows"]
        self.heading(f"Kinds of keys: one statement of {rows:,} rows, time")
        self.add("Delivery background. An INSERT, with as many keys as rows, by the type of the"
                 " key's column; an UPDATE whose key comes from a column, by a path to one of"
                 " 1,000 rows, and by a query (`via`) that gives ten.", "")
        lines = []
        for case, base in (("insert", "text"), ("update", "column")):
            for kind in self.samples.variants("keys", case):
                lines.append([f"{case.upper()}, {kind}",
                              self.value("keys", case, kind, "seconds"),
                              self.ratio("keys", case, kind, "seconds", base=base)])
        self.table(["", "seconds", "over the simplest"], lines)

    def ddl(self):
        if not self.samples.has("ddl"):
            return
        self.heading("Commands that no rule has to do with: time, as ratios")
        self.add("With that many rules in the database, ten on each table, half of them"
                 " with a path; compared with the same tables without rules and"
                 " without event triggers.  The first ratio is what event triggers in plpgsql"
                 " cost that do nothing.", "")
        cases = self.samples.cases("ddl")
        counts = list(dict.fromkeys(case.split("/")[1] for case in cases))
        names = list(dict.fromkeys(case.split("/")[0] for case in cases))
        self.table(["", "none (ms)", "no-op triggers"]
                   + [f"{int(count):,} rules" for count in counts], [
            [name, self.value("ddl", f"{name}/{counts[-1]}", "none", "milliseconds"),
             self.ratio("ddl", f"{name}/{counts[-1]}", "noop", "milliseconds")]
            + [self.ratio("ddl", f"{name}/{count}", "inval-commit", "milliseconds")
               for count in counts] for name in names])

    def bulk(self):
        settings = self.facts["settings"]
        for workload, rows in (("bulk", settings["bulk_rows"]),
                               ("bulk-small", settings["bulk_small_rows"])):
            cases = self.samples.cases(workload)
            if not cases:
                continue
            self.heading(f"One statement, {rows:,} rows: time, as ratios")
            self.add("With 1,000 keys, and with as many keys as rows.", "")
            self.bulk_table(workload, cases, "seconds", "s")
            self.plot(workload, f"One statement, {rows:,} rows")
            self.add("", "WAL, bytes per row:", "")
            self.bulk_values(workload, cases, "wal_per_row", 0)
            self.add("", "Seconds until all was delivered, after the statement"
                     " had returned:", "")
            self.bulk_values(workload, cases, "delivered_seconds", 2)

    def bulk_table(self, workload, cases, metric, unit):
        rows = []
        for variant in self.measured(workload, cases[0], metric):
            if variant == "none":
                rows.append([f"none ({unit})"] + [
                    self.value(workload, case, variant, metric)
                    for case in cases])
            else:
                rows.append([variant] + [
                    self.ratio(workload, case, variant, metric)
                    for case in cases])
        self.table([""] + [bulk_title(case) for case in cases], rows)

    def bulk_values(self, workload, cases, metric, digits):
        rows = [[variant] + [self.value(workload, case, variant, metric, digits)
                             for case in cases]
                for variant in self.measured(workload, cases[0], metric)]
        self.table([""] + [bulk_title(case) for case in cases], rows)

    def measured(self, workload, case, metric):
        return [variant for variant in self.variants
                if self.samples.rounds(workload, case, variant, metric)]

    def freshness(self):
        if not self.samples.has("freshness"):
            return
        self.heading("Freshness: microseconds until the key is gone")
        for case in self.samples.cases("freshness"):
            self.add(f"{'Synchronous' if case == 'sync' else 'Asynchronous'}"
                     " commits:", "")
            metrics = [("before_p50_us", 0), ("before_p99_us", 0),
                       ("after_p50_us", 0), ("after_p99_us", 0),
                       ("stale_percent", 1)]
            rows = []
            for variant in self.measured("freshness", case, "reads"):
                reads = self.samples.rounds("freshness", case, variant, "reads")
                rows.append([variant] + [
                    self.value("freshness", case, variant, metric, digits)
                    for metric, digits in metrics] + [f"{sum(reads.values()):,.0f}"])
            self.table(["", "from before COMMIT, p50", "p99",
                        "from its return, p50", "p99", "stale reads, %", "reads"],
                       rows)
            self.add("")
        self.add("A stale read is one that another client sends the moment COMMIT"
                 " has returned, and that still sees the old value.")
        self.plot("freshness", "Time from just before COMMIT to the key being gone")

    def wal(self):
        if not self.samples.has("wal"):
            return
        self.heading("WAL, bytes per transaction")
        self.add("Deliveries included, full-page images not.", "")
        cases = self.samples.cases("wal")
        self.table(["", "single-row update", "standard script"], [
            [variant] + [self.value("wal", case, variant, "bytes", 0)
                         for case in cases]
            for variant in self.measured("wal", cases[0], "bytes")])

    def memory(self):
        if not self.samples.has("memory"):
            return
        rows = self.facts["settings"]["bulk_rows"]
        self.heading(f"Memory of a transaction with {rows:,} keys, MB")
        cases = self.samples.cases("memory")
        self.table(["", "short keys", "keys of 400 bytes"], [
            [variant] + [self.value("memory", case, variant, "peak_mb", 1)
                         for case in cases]
            for variant in self.measured("memory", cases[0], "peak_mb")])

    def drain(self):
        if not self.samples.has("drain"):
            return
        keys = self.facts["settings"]["backlog"]
        self.heading(f"After an outage: a backlog of {keys:,} keys")
        metrics = [("keys_per_second", "keys per second", 0),
                   ("seconds_to_first", "seconds until the first key was gone", 2),
                   ("seconds_to_last", "seconds until the last key was gone", 2),
                   ("worker_mb", "memory of the worker, MB", 1),
                   ("redis_p50_ms", "Redis to another client, p50, ms", 2),
                   ("redis_p99_ms", "p99, ms", 2), ("redis_max_ms", "max, ms", 2)]
        self.table(["", "inval"], [
            [title, self.value("drain", "backlog", "inval-commit", metric, digits)]
            for metric, title, digits in metrics])
        self.plot("drain", "Keys left after an outage")

    def health(self):
        if not self.samples.has("health"):
            return
        seconds = self.facts["settings"]["health_seconds"]
        self.heading(f"Updates with an old snapshot open for {seconds} seconds,"
                     " autovacuum off")
        metrics = [("tps_first", 0), ("tps_last", 0), ("last_over_first", 3),
                   ("outbox_mb_median", 1), ("outbox_mb_max", 1),
                   ("outbox_mb_at_end", 1)]
        self.table(["", "tps, first minute", "tps, last minute", "ratio",
                    "outbox, MB, median", "largest", "at the end"], [
            [variant] + [self.value("health", "snapshot", variant, metric, digits)
                         for metric, digits in metrics]
            for variant in self.measured("health", "snapshot", "tps_first")])
        self.plot("health", "Updates with an old snapshot open")

    def sessions(self):
        if not self.samples.has("sessions"):
            return
        count = self.facts["settings"]["sessions"]
        self.heading(f"Sessions: what one costs, and {count:,} of them")
        self.add("Memory is what only the process of a session has. Each has updated one"
                 " row; then eight of them update at full speed, commits not synchronous, the"
                 " others idle. The limit is `inval.max_connections` at a tenth of them.", "")
        rows = []
        for variant in self.measured("sessions", "one", "kb"):
            for case, name in (("many", variant), ("many, limited", variant + ", limited")):
                if not self.samples.rounds("sessions", case, variant, "tps"):
                    continue
                one = "one" if case == "many" else ""
                rows.append([name, self.value("sessions", one, variant, "kb", 0)] + [
                    self.value("sessions", case, variant, metric, digits)
                    for metric, digits in (
                        ("mb", 0), ("connections", 0), ("redis_mb", 1), ("tps_alone", 0),
                        ("tps", 0), ("ratio", 2), ("at_commit_percent", 1))])
        self.table(["", "a session, kB", "all processes, MB", "connections to Redis",
                    "their memory there, MB", "tps of 8 alone", "of 8 beside the idle",
                    "ratio", "of it at commit, %"], rows)

    def scale(self):
        if not self.samples.has("scale"):
            return
        self.heading("Scale")
        self.add("Medians where there are several; milliseconds, as the client sees them over a"
                 " Unix socket.", "")
        rows = []
        cases = self.samples.cases("scale")
        for kind, metric, text, digits in SCALE:
            values = [(case.split("/")[1], self.value("scale", case, "none", metric, digits),
                       self.value("scale", case, "inval", metric, digits))
                      for case in cases if case.split("/")[0] == kind]
            for count, none, ours in values:
                if ours:
                    rows.append([f"{int(count):,} {kind}", text, none, ours])
        self.table(["with", "", "untracked", "inval"], rows)

    def setups(self):
        self.heading("How each was set up")
        self.add("Every variant has a PostgreSQL cluster of its own, a copy of the"
                 " same one, all with 384 MB of shared buffers, fsync on, autovacuum"
                 " off and a vacuum before each slice instead; all share one Redis"
                 " and all speak over Unix sockets. The scripts are in"
                 " `bench/variants`.", "")
        self.table(["variant", "is"], self.facts["variants"].items())

    def text(self):
        self.introduction()
        for section in (self.targets, self.throughput, self.untouched, self.cost, self.bulk,
                        self.freshness, self.wal, self.distance, self.lookups, self.keys,
                        self.ddl, self.memory, self.drain, self.health,
                        self.sessions, self.scale, self.setups):
            section()
        return "\n".join(self.lines) + "\n"


def number(value, digits=2):
    if digits == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}f}"


def base_of(variant):
    return {"client": "client-floor", "client-inval": "client"}.get(variant, "none")


def case_title(case):
    _, clients, synchrony = case.split("/")
    return f"{clients}, {synchrony}"


def bulk_title(case):
    statement, keys = case.split("/")
    return f"{statement.upper()}, {'1,000 keys' if keys == '1000' else 'all keys'}"


def merge(document, text):
    """Puts the text between the document's markers."""
    with open(document, encoding="utf-8") as file:
        old = file.read()
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    if not re.search(pattern, old, re.DOTALL):
        sys.exit(f"report.py: no markers in {document}")
    new = re.sub(pattern, lambda _: f"{BEGIN}\n{text}{END}", old, flags=re.DOTALL)
    with open(document, "w", encoding="utf-8") as file:
        file.write(new)


def main():
    results = sys.argv[1]
    report = Report(results)
    text = report.text()
    plot_directory = os.path.join(results, "performance")
    plots.draw(report, plot_directory)
    with open(os.path.join(results, "performance.md"), "w",
              encoding="utf-8") as file:
        file.write(text)
    if len(sys.argv) > 2:
        document = sys.argv[2]
        merge(document, text)
        shutil.copytree(plot_directory, os.path.splitext(document)[0],
                        dirs_exist_ok=True)


if __name__ == "__main__":
    main()
