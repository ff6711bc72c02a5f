"""Memory of processes, and what machine this is."""

import os
import platform
import re
import shutil
import subprocess
import threading
import time


class Memory:
    """While it is entered, watches how much memory of its own a process has:
    that which it shares with others, such as PostgreSQL's buffers, does not
    count."""

    INTERVAL = 0.005

    def __init__(self, pid):
        self.path = f"/proc/{pid}/status"
        self.peak_mb = 0.0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)

    def watch(self):
        while not self.ended.wait(self.INTERVAL):
            self.look()

    def look(self):
        try:
            with open(self.path, encoding="utf-8") as status:
                size = re.search(r"RssAnon:\s+(\d+) kB", status.read())
        except OSError:
            return
        if size:
            self.peak_mb = max(self.peak_mb, int(size.group(1)) / 1024)

    def __enter__(self):
        self.look()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()


def first_match(path, pattern, default):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = re.search(pattern, file.read(), re.MULTILINE)
    except OSError:
        return default
    return found.group(1).strip() if found else default


def first_line(*command):
    """What a program says first; None if there is no such program."""
    if shutil.which(command[0]) is None:
        return None
    output = subprocess.run(command, capture_output=True, text=True,
                            check=False).stdout
    return output.splitlines()[0].strip() if output else None


def file_system(directory):
    """The type of the file system that a directory is on."""
    return first_line("findmnt", "--noheadings", "--output=FSTYPE",
                      "--target", directory) or "unknown"


def flushes_per_second(directory, seconds=1.0):
    """How often a small write can be made durable."""
    path = os.path.join(directory, "flush")
    count = 0
    with open(path, "wb") as file:
        file.write(b"x" * 8192)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            file.seek(0)
            file.write(b"y" * 8192)
            file.flush()
            os.fdatasync(file.fileno())
            count += 1
    os.unlink(path)
    return count / seconds


def describe_machine(bench):
    """What a reader needs to judge the figures; no names, no paths."""
    memory_kb = int(first_match("/proc/meminfo", r"^MemTotal:\s+(\d+)", "0"))
    redis = first_line("redis-server", "--version") or \
        first_line("valkey-server", "--version")
    redis = re.search(r"v=(\S+)", redis).group(1) if redis else "?"
    system = first_match("/etc/os-release", r'^PRETTY_NAME="?([^"\n]+)', "Linux")
    return {
        "cores": str(bench.cores),
        "processor": first_match("/proc/cpuinfo", r"^model name\s*:\s*(.*)$",
                                 platform.machine()),
        "memory": f"{memory_kb / 1048576:.0f} GB",
        "system": f"{system}, kernel {platform.release().split('-')[0]}",
        "file system": f"{file_system(bench.work)}, "
                       f"{flushes_per_second(bench.work):.0f} durable writes"
                       " of 8 kB per second",
        "PostgreSQL": first_line(os.path.join(bench.bindir, "postgres"),
                                 "--version"),
        "Redis": f"{redis}, on a Unix socket",
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def is_busy():
    """Whether somebody else uses this machine."""
    return os.getloadavg()[0] > 0.5
