"""A session without a program: PostgreSQL's protocol over a Unix socket, as much of
it as it takes to have a thousand of them and to time single statements.
"""

import os
import re
import socket
import struct
import time
from collections import namedtuple

from servers import DATABASE, Failure


Cost = namedtuple("Cost", "ms processor_ms")


class Wire:
    def __init__(self, cluster, database=DATABASE):
        self.name = cluster.name
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.path.join(cluster.sockets, f".s.PGSQL.{cluster.port}"))
        self.reader = self.socket.makefile("rb")
        words = b"".join(word.encode() + b"\0" for word in
                         ("user", "bench", "database", database, ""))
        self.socket.sendall(struct.pack("!ii", len(words) + 8, 3 << 16) + words)
        self.pid = 0
        self.answer()

    def answer(self):
        """Reads until the server is ready; returns the first column of the last row."""
        value = None
        error = None
        while True:
            header = self.reader.read(5)
            if len(header) < 5:
                raise Failure(f"{self.name}: a session ended")
            kind, length = struct.unpack("!ci", header)
            body = self.reader.read(length - 4)
            if kind == b"K":
                self.pid = struct.unpack("!i", body[:4])[0]
            elif kind == b"D":
                size = struct.unpack("!i", body[2:6])[0]
                value = None if size < 0 else body[6:6 + size].decode()
            elif kind == b"E":
                error = body.replace(b"\0", b" ").decode(errors="replace")
            elif kind == b"Z":
                if error:
                    raise Failure(f"{self.name}: {error}")
                return value

    def ask(self, text):
        """Runs statements; returns what answer gives."""
        data = text.encode() + b"\0"
        self.socket.sendall(struct.pack("!ci", b"Q", len(data) + 4) + data)
        return self.answer()

    def timed(self, text):
        """Runs statements; returns the milliseconds until the server was ready again,
        and how many of them its process was running, of which other work on the
        machine takes nothing."""
        ran = running_ms(self.pid)
        start = time.perf_counter()
        self.ask(text)
        took = (time.perf_counter() - start) * 1e3
        return Cost(took, running_ms(self.pid) - ran)

    def dirty_kb(self):
        """Memory that only this session's process has, and has written to."""
        return private_dirty_kb(self.pid)

    def close(self):
        try:
            self.socket.sendall(struct.pack("!ci", b"X", 4))
            self.reader.read()      # until the server has hung up
        except OSError:
            pass
        self.reader.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def running_ms(pid):
    with open(f"/proc/{pid}/schedstat", encoding="utf-8") as file:
        return int(file.read().split()[0]) / 1e6


def private_dirty_kb(pid):
    """0 if there is no such process any more."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
            found = re.search(r"^Private_Dirty:\s+(\d+) kB", file.read(), re.MULTILINE)
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def children(pid):
    """The processes that a process has started and that still run."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        fields = stat_fields(int(name))
        if fields and int(fields[1]) == pid:
            found.append(int(name))
    return found


def stat_fields(pid):
    """What /proc says of a process, from its state on; None if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def processor_ms(pid):
    """Processor time of a server so far, of all its processes, also of those that have
    ended, in milliseconds."""
    total = 0
    for process in [pid, *children(pid)]:
        fields = stat_fields(process)
        if fields:
            # utime, stime; of the first one also those of children that have ended
            total += sum(int(field) for field in
                         fields[11:15 if process == pid else 13])
    return total * 1000 / os.sysconf("SC_CLK_TCK")
