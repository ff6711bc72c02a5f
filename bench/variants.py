"""The variants: inval, nothing, and what people use instead.

How each is set up is in variants/NAME.sql, which is applied to every tracked
table; the comment it opens with is the text of the report.  Here is the rest:
server configuration, the consumer that runs beside it, and how to see and to
clear what it has not delivered yet.
"""

import os
import shutil
import subprocess

from schema import TRACKED
from servers import Cluster, Failure, end_process, wait_until

DIRECTORY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "variants")

TABLE_ARGUMENTS = [f"{table}={column}" for table, column in TRACKED.items()]

INVAL_PENDING = "SELECT sum(queue_depth) FROM inval_target_status"
INVAL_CONFIGURATION = """
shared_preload_libraries = 'inval'
inval.redis_url = 'unix://{redis}?db=0'
"""


class Variant:
    """A variant and its cluster.  Subclasses override what differs."""

    def __init__(self, name, base="none", library=None, configuration="",
                 pending=None, reset=None, outbox_tables=None,
                 cluster_of=None, core=False, often=False):
        self.name = name
        self.base = base                    # what its ratios are to
        self.library = library              # file that must be there for it
        self.configuration = configuration
        self.pending = pending              # query: what is undelivered
        self.reset = reset                  # statements that forget that
        self.outbox_tables = outbox_tables  # their names, as LIKE has it
        self.cluster_of = cluster_of or name
        self.core = core                    # measured with everything
        self.often = often or core          # and in every round
        self.bench = None
        self.cluster = None
        self.processes = []

    def text(self):
        with open(os.path.join(DIRECTORY, self.name + ".sql"),
                  encoding="utf-8") as file:
            return file.read()

    def description(self):
        lines = []
        for line in self.text().splitlines():
            if not line.startswith("-- "):
                break
            lines.append(line[3:])
        return " ".join(lines)

    def track(self, table, column):
        self.cluster.sql(self.text().replace("@table@", table)
                         .replace("@column@", column))

    def create(self, bench, number, template):
        """Makes its cluster, a copy of the template, and sets it up."""
        self.bench = bench
        self.cluster = Cluster(bench.work, bench.bindir, self.name, number)
        self.cluster.copy_from(template)
        self.cluster.configure(self.configuration.format(
            redis=bench.redis.path, memcached=bench.memcached.path))
        self.cluster.start()
        for table, column in TRACKED.items():
            self.track(table, column)

    # --- What runs beside it ---

    def address(self):
        """Where its keys are."""
        return self.bench.redis.address

    def consumers(self):
        """The commands of its consumer; each reads what the one before it
        prints."""
        return []

    def start(self):
        """Before a slice."""
        source = subprocess.DEVNULL
        commands = self.consumers()
        with open(self.log(), "w", encoding="utf-8") as log:
            for command in commands:
                last = command is commands[-1]
                process = subprocess.Popen(
                    command, stdin=source, stderr=log,
                    stdout=subprocess.DEVNULL if last else subprocess.PIPE,
                    env=self.cluster.environment)
                source = process.stdout
                self.processes.append(process)

    def wait_until_it_works(self):
        """Before anything is measured: a change makes a key go.  Consumers
        take their time to start, and one that does not work looks fast."""
        self.bench.redis.command("SET", "item:1", "old")

        def is_gone():
            # Once more each time: what is notified before the listener
            # listens is lost.
            self.cluster.sql("UPDATE item SET status = status + 1 WHERE id = 1")
            return self.bench.redis.command("EXISTS", "item:1") == 0

        wait_until(is_gone, f"{self.name} to remove a key", pause=0.02)

    def log(self):
        """Where its consumer says what went wrong."""
        return self.cluster.log + "-consumer"

    def stop(self):
        """After a slice; what is undelivered is forgotten."""
        for process in self.processes:
            if process.poll() is not None:
                with open(self.log(), encoding="utf-8") as log:
                    raise Failure(f"{self.name}: its consumer ended: {log.read()}")
        for process in self.processes:
            end_process(process)
        self.processes = []
        if self.reset:
            self.cluster.sql(self.reset)

    def settle(self, seconds=60):
        """Waits until all is delivered."""
        if self.pending:
            wait_until(lambda: self.cluster.number(self.pending) == 0,
                       f"{self.name} to deliver", seconds)


class Inval(Variant):
    def __init__(self, delivery, core=True):
        super().__init__("inval-" + delivery, library="inval.so", core=core,
                         configuration=INVAL_CONFIGURATION,
                         pending=INVAL_PENDING,
                         outbox_tables="inval_outbox_%")
        self.delivery = delivery

    def track_key(self, table, key):
        """Tracks a table with another key than <table>:<column>."""
        self.cluster.sql(f"SELECT inval_track('{table}', key => '{key}',"
                         f" delivery => '{self.delivery}')")

    def start(self):
        super().start()
        self.wait_until_it_works()

    def stop(self):
        self.settle()
        super().stop()


class ClientOfInval(Variant):
    """A client that leaves it to inval, in the cluster of that."""

    def __init__(self):
        super().__init__("client-inval", base="client", library="inval.so",
                         pending=INVAL_PENDING, cluster_of="inval-commit", often=True)

    def stop(self):
        self.settle()
        super().stop()


class InvalWithHistory(Inval):
    """The same, and it is noted who has removed which key."""

    def __init__(self):
        super().__init__("history", core=False)
        self.base = "inval-commit"
        self.delivery = "commit"
        self.configuration += "inval.history_keys = 10000\n"


class InvalForLeases(Inval):
    """With what readers need who fill under a lease."""

    def __init__(self, delivery):
        super().__init__(delivery, core=False)
        self.often = delivery == "strict"

    def wait_until_it_works(self):
        # The worker loads the functions for readers; before that nothing
        # strict is committed.
        def has_functions():
            try:
                return self.bench.redis.command("FCALL", "inval_version", 0) > 0
            except Failure:
                return False

        wait_until(has_functions, "the functions in Redis")
        super().wait_until_it_works()


class Consumed(Variant):
    """One whose consumer is bench/client/consumer."""

    def __init__(self, name, *arguments, **options):
        super().__init__(name, **options)
        self.arguments = arguments

    def consumers(self):
        return [[self.bench.client("consumer"), self.address(), *self.arguments]]

    def start(self):
        super().start()
        self.wait_until_it_works()


class Outbox(Consumed):
    def __init__(self, name):
        super().__init__(name, "outbox", "50000",
                         pending="SELECT count(*) FROM cache_outbox",
                         reset="TRUNCATE cache_outbox",
                         outbox_tables="cache_outbox")


class Pgq(Consumed):
    def __init__(self):
        super().__init__("pgq", "pgq", "cache", "bench", "50000",
                         *TABLE_ARGUMENTS, library="pgq_triggers.so",
                         outbox_tables="event%")
        # A queue is emptied by rotation, hours later: start with another.
        self.reset = ("SELECT pgq.drop_queue('cache', true);"
                      "SELECT pgq.create_queue('cache');"
                      "SELECT pgq.set_queue_config('cache', 'ticker_max_lag',"
                      " '100 milliseconds');"
                      "SELECT pgq.register_consumer('cache', 'bench')")

    def create(self, bench, number, template):
        super().create(bench, number, template)
        with open(self.ini(), "w", encoding="utf-8") as file:
            file.write("[pgqd]\n"
                       f"logfile = {self.cluster.log}-pgqd\n"
                       f"pidfile = {self.ini()}.pid\n"
                       f"base_connstr = host={self.cluster.sockets}"
                       f" port={self.cluster.port} user=bench\n"
                       f"initial_database = bench\n"
                       "database_list = bench\n"
                       "ticker_period = 0.1\n")

    def ini(self):
        return os.path.join(self.bench.work, "pgqd.ini")

    def start(self):
        self.processes.append(subprocess.Popen(
            [shutil.which("pgqd"), "-q", self.ini()],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        super().start()


class Wal2json(Variant):
    SLOT = "bench"

    def __init__(self):
        super().__init__(
            "wal2json", library="wal2json.so",
            configuration="wal_level = logical\n")

    def create(self, bench, number, template):
        # Recent minor releases load only the plugins that are listed.
        probe = subprocess.run(
            [os.path.join(bench.bindir, "postgres"), "-D", template.directory,
             "-C", "output_plugin_libraries"], capture_output=True, check=False)
        if probe.returncode == 0:
            self.configuration += "output_plugin_libraries = 'wal2json'\n"
        super().create(bench, number, template)

    def start(self):
        self.cluster.sql(
            f"SELECT pg_create_logical_replication_slot('{self.SLOT}', 'wal2json')")
        super().start()
        self.wait_until_it_works()

    def consumers(self):
        tables = ",".join("public." + table for table in TRACKED)
        return [
            [self.cluster.program("pg_recvlogical"), "--slot", self.SLOT,
             "--start", "--dbname", "bench", "--file", "-",
             "--option", "format-version=2", "--option", f"add-tables={tables}"],
            [self.bench.client("consumer"), self.address(), "wal2json",
             *TABLE_ARGUMENTS]]

    def stop(self):
        super().stop()
        wait_until(lambda: self.cluster.sql(
            "SELECT count(*) FROM pg_replication_slots WHERE active") == "0",
                   "the slot to be free")
        self.cluster.sql(f"SELECT pg_drop_replication_slot('{self.SLOT}')")


class Pgmemcache(Variant):
    def __init__(self):
        super().__init__(
            "pgmemcache", library="pgmemcache.so",
            configuration="shared_preload_libraries = 'pgmemcache'\n"
                          "pgmemcache.default_servers = '{memcached}'\n")

    def address(self):
        return self.bench.memcached.address


def all_variants():
    """In the order of the report; a base comes before what is compared with it."""
    return [
        Variant("none", core=True),
        Variant("noop", library="bench_noop.so", core=True),
        Inval("background"),
        Inval("commit"),
        InvalWithHistory(),
        InvalForLeases("fence"),
        InvalForLeases("strict"),
        Variant("client-floor", cluster_of="none", often=True),
        Variant("client", base="client-floor", cluster_of="none", often=True),
        ClientOfInval(),
        Consumed("notify", "listen", "cache"),
        Outbox("outbox-row"),
        Outbox("outbox-statement"),
        Pgq(),
        Wal2json(),
        Pgmemcache(),
    ]
