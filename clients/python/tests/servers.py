"""Private servers for the tests: each lives in a temporary directory and ends with it."""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import redis

from inval import library

SECONDS = 60  # for what must come, however busy the machine is


def wait_until(condition, what):
    """Polls the condition; its first true value."""
    deadline = time.monotonic() + SECONDS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {SECONDS} s in vain: {what}")
        time.sleep(0.005)


def in_threads(count, function):
    """Runs function(number) in so many threads at once; what they gave."""
    results = [None] * count
    start = threading.Barrier(count)

    def work(number):
        start.wait()
        try:
            results[number] = function(number)
        except Exception as error:  # shown by the comparison that follows
            results[number] = error

    threads = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def free_port():
    """A port that nobody listens on, whose cluster bus (10000 more) fits too."""
    while True:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        if port < 50000:
            return port


def _end_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class RedisServer:
    """A redis-server with the function library, unless library is false; config are further
    lines of redis.conf. sentinel: those of a Sentinel, which it then is."""

    def __init__(self, *, library=True, sentinel=None, **config):
        self.directory = tempfile.mkdtemp(prefix="inval")
        self.port = free_port()
        self.process = None
        self._frozen = False
        self._library = library and not sentinel
        self._sentinel = bool(sentinel)
        lines = {"port": self.port, "bind": "127.0.0.1", "dir": self.directory}
        lines.update({"sentinel": sentinel} if sentinel else {"save": '""', "appendonly": "no"})
        lines.update((name.replace("_", "-"), value) for name, value in config.items())
        with open(self.path("redis.conf"), "w", encoding="utf-8") as file:
            for name, value in lines.items():
                for one in value if isinstance(value, list) else [value]:
                    file.write(f"{name} {one}\n")
        self.start()

    def path(self, name):
        return os.path.join(self.directory, name)

    @property
    def url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self, **settings):
        return redis.Redis(port=self.port, **settings)

    def start(self):
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        command = [program, self.path("redis.conf")] + ["--sentinel"] * self._sentinel
        with open(self.path("log"), "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=_end_with_parent)
        wait_until(self._answers, "Redis to start")
        if self._library:
            with self.client() as client:
                library.load(client)
        return self

    def _answers(self):
        if self.process.poll() is not None:
            with open(self.path("log"), encoding="utf-8") as log:
                raise AssertionError(f"Redis ended: {log.read()}")
        try:
            with self.client(socket_timeout=1) as client:
                return client.ping()
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False

    def stop(self):
        if self.process is not None:
            self.thaw()
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self):
        """SIGSTOP: connected, but no answers. Returns when it has really stopped."""
        self._frozen = True
        self.process.send_signal(signal.SIGSTOP)
        wait_until(lambda: self._state() == "T", "Redis to stop")

    def _state(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0]

    def thaw(self):
        if self._frozen:
            self.process.send_signal(signal.SIGCONT)
            self._frozen = False

    def close(self):
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()
