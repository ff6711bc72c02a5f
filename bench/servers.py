"""Throwaway servers: a PostgreSQL cluster for each variant, Redis, memcached.

All live in one directory.  Whatever happens, bench/run ends the processes
whose working directory is in it; what is stopped here is stopped so that it
does not disturb the next measurement.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

DATABASE = "bench"
START_SECONDS = 60

# What every cluster gets.  Autovacuum and time-based checkpoints would run in
# somebody else's slice: instead all tables are vacuumed before each slice and
# all clusters checkpointed before each workload.  With the larger min_wal_size old
# segments of WAL are used again, so that none has to be made in a slice.
CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{sockets}'
port = {port}
max_connections = 60
shared_buffers = 384MB
min_wal_size = 1GB
max_wal_size = 16GB
checkpoint_timeout = 1d
autovacuum = off
"""


class Failure(Exception):
    """Something that makes measuring impossible; the text says what."""


def wait_until(condition, what, seconds=START_SECONDS, pause=0.01):
    """Polls the condition; returns its first true value."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"waited {seconds} s in vain: {what}")
        time.sleep(pause)


def end_process(process, how=signal.SIGTERM, seconds=60):
    if process is None:
        return
    process.send_signal(how)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Server:
    """A child process that logs to a file and is ready when it answers."""

    def __init__(self, work, name):
        self.name = name
        self.log = os.path.join(work, "log", name)
        self.process = None

    def start_process(self, command, ready, **options):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **options)
        wait_until(lambda: self.alive() and ready(), f"{self.name} to start")

    def alive(self):
        if self.process.poll() is not None:
            raise Failure(f"{self.name} ended; its log says:\n{self.log_end()}")
        return True

    def log_end(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return "".join(log.readlines()[-20:])


class Cluster(Server):
    """One PostgreSQL cluster with one database."""

    def __init__(self, work, bindir, name, number):
        super().__init__(work, name)
        self.bindir = bindir
        self.sockets = work
        self.port = 5000 + number
        self.directory = os.path.join(work, "data", name)
        self.environment = dict(
            os.environ, PGHOST=work, PGPORT=str(self.port),
            PGDATABASE=DATABASE, PGUSER="bench", PGCONNECT_TIMEOUT="30")

    def program(self, name):
        return os.path.join(self.bindir, name)

    def create(self):
        subprocess.run(
            [self.program("initdb"), "-D", self.directory, "-U", "bench",
             "--auth=trust", "--encoding=UTF8", "--locale=C"],
            stdout=subprocess.DEVNULL, check=True)

    def copy_from(self, template):
        shutil.copytree(template.directory, self.directory, symlinks=True)

    def configure(self, text=""):
        path = os.path.join(self.directory, "postgresql.auto.conf")
        with open(path, "w", encoding="utf-8") as configuration:
            configuration.write(CONFIGURATION.format(
                sockets=self.sockets, port=self.port) + text)

    def start(self):
        self.start_process(
            [self.program("postgres"), "-D", self.directory], self.answers)

    def answers(self):
        return subprocess.run(
            [self.program("pg_isready"), "-q", "-d", "postgres"],
            env=self.environment, check=False).returncode == 0

    def stop(self):
        end_process(self.process, signal.SIGINT)
        self.process = None

    def sql(self, text, database=DATABASE, options=""):
        """Runs statements, each in its own transaction; returns the output."""
        result = subprocess.run(
            [self.program("psql"), "-XqAt", "-v", "ON_ERROR_STOP=1",
             "-d", database, "-f", "-"],
            input=text, capture_output=True, text=True, check=False,
            env=dict(self.environment, PGOPTIONS=options))
        if result.returncode != 0:
            raise Failure(f"{self.name}: {result.stderr.strip()}\n"
                          f"in: {text[:500]}")
        return result.stdout.strip()

    def number(self, text):
        """The number that a query gives."""
        return float(self.sql(text))

    def timed(self, statement):
        """Runs one statement; returns the seconds it took, and WAL bytes."""
        output = self.sql(
            "SELECT pg_current_wal_insert_lsn() AS before \\gset\n"
            f"\\timing on\n{statement};\n\\timing off\n"
            "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'before');")
        milliseconds = re.search(r"Time: ([0-9.]+) ms", output).group(1)
        return float(milliseconds) / 1e3, float(output.splitlines()[-1])

    def checkpoint(self):
        self.sql("CHECKPOINT")

    def run(self, command, asynchronous=False, **options):
        """Runs a client program to its end; returns what it printed."""
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False, env=self.client_environment(asynchronous), **options)
        if result.returncode != 0:
            raise Failure(f"{self.name}: {' '.join(command)}: "
                          f"{result.stderr.strip()}")
        return result.stdout

    def client_environment(self, asynchronous=False):
        options = "-c synchronous_commit=" + ("off" if asynchronous else "on")
        return dict(self.environment, PGOPTIONS=options)


class Redis(Server):
    """A Redis, or Valkey, on a Unix socket, without persistence."""

    def __init__(self, work):
        super().__init__(work, "redis")
        self.path = os.path.join(work, "redis.sock")
        self.address = "redis:" + self.path
        self.directory = os.path.join(work, "redis")
        self.connection = None
        self.reader = None

    def start(self):
        os.makedirs(self.directory, exist_ok=True)
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        self.start_process(
            [program, "--port", "0", "--unixsocket", self.path,
             "--save", "", "--appendonly", "no", "--dir", self.directory],
            self.connect)

    def connect(self):
        try:
            self.connection = socket.socket(socket.AF_UNIX)
            self.connection.connect(self.path)
        except OSError:
            return False
        self.reader = self.connection.makefile("rb")
        return True

    def stop(self):
        end_process(self.process)

    def freeze(self):
        """The outage: it is there, and does not answer."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def command(self, *words):
        parts = [f"*{len(words)}\r\n".encode()]
        for word in words:
            data = str(word).encode()
            parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
        self.connection.sendall(b"".join(parts))
        return self.reply()

    def reply(self):
        line = self.reader.readline().rstrip(b"\r\n")
        kind, rest = line[:1], line[1:]
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest.decode()
        if kind == b"$":
            if rest == b"-1":
                return None
            return self.reader.read(int(rest) + 2)[:-2].decode()
        raise Failure(f"Redis answered {line!r}")

    def fill(self, prefix, count, step=100000):
        """Sets the keys prefix:1 to prefix:count."""
        script = ("for i = ARGV[1], ARGV[2] do "
                  "redis.call('SET', ARGV[3] .. ':' .. string.format('%d', i), 'old') end")
        for first in range(1, count + 1, step):
            self.command("EVAL", script, 0, first,
                         min(first + step - 1, count), prefix)


class Memcached(Server):
    """A memcached on a Unix socket."""

    def __init__(self, work):
        super().__init__(work, "memcached")
        self.path = os.path.join(work, "memcached.sock")
        self.address = "memcached:" + self.path

    def start(self):
        self.start_process(
            [shutil.which("memcached"), "-s", self.path, "-m", "256"],
            lambda: os.path.exists(self.path))

    def stop(self):
        end_process(self.process)
