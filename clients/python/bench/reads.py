"""What get_or_set costs beside a plain GET, and who loads when a hot key is invalidated."""

import argparse
import json
import os
import platform
import statistics
import threading
import time

import redis
import servers

from inval import Cache, LocalCache, Policy, PublishFeed

VALUE = {"id": 42, "name": "x" * 100, "tags": ["a", "b", "c"]}
HERD = 500


def timed_loop(function, seconds, threads):
    """Wall and CPU seconds of this process for each call, of so many threads that call the
    function for so long."""
    counts = [0] * threads
    start = threading.Barrier(threads + 1)
    stop = []

    def work(number):
        start.wait()
        count = 0
        while not stop:
            function()
            count += 1
        counts[number] = count

    workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    start.wait()
    began, cpu = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    stop.append(True)
    for worker in workers:
        worker.join()
    calls = sum(counts)
    return (time.perf_counter() - began) / calls, (time.process_time() - cpu) / calls


def hits(server, seconds, threads):
    """What each way costs to read a value that is there."""
    settings = dict(connect_timeout=30, read_timeout=30)
    with server.client() as client, Cache.from_url(server.url, **settings) as cache, \
            Cache.from_url(server.url, policy=Policy(local=60), **settings,
                           local=LocalCache(feed=PublishFeed("changes"))) as local:
        cache.get_or_set("k", lambda: VALUE)
        servers.wait_until(lambda: local.fetch("k", lambda: VALUE).source == "local", "the feed")
        ways = {
            "GET, json.loads": lambda: json.loads(client.get("k")),
            "FCALL inval_get, json.loads":
                lambda: json.loads(client.execute_command("FCALL", "inval_get", 1, "k", 10000, 0)[1]),
            "get_or_set": lambda: cache.get_or_set("k", lambda: VALUE),
            "get_or_set, first level": lambda: local.get_or_set("k", lambda: VALUE)}
        return {name: timed_loop(way, seconds, threads) for name, way in ways.items()}


def herd(server):
    """Threads that all want a key that was just invalidated: loads, and seconds until the
    last one has it, the load taking 50 ms."""
    loads = []

    def load():
        loads.append(1)
        time.sleep(0.05)
        return VALUE

    with Cache.from_url(server.url, connect_timeout=30, read_timeout=30,
                        policy=Policy(wait=30, lease=30)) as cache, server.client() as client:
        # Every thread has its connection before.
        servers.in_threads(HERD, lambda number: cache.get_or_set(f"warm:{number}", lambda: 1))
        cache.get_or_set("hot", lambda: VALUE)
        client.unlink("hot", "hot:inval-lease{hot}")
        start = time.perf_counter()
        results = servers.in_threads(HERD, lambda number: cache.get_or_set("hot", load))
        seconds = time.perf_counter() - start
        assert all(result == VALUE for result in results)
        return len(loads), seconds


def show(name, values, unit):
    print(f"{name:52} {statistics.median(values):9.2f} {min(values):9.2f} {max(values):9.2f}  {unit}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    options = parser.parse_args()
    with servers.RedisServer() as server, server.client() as client:
        print(f"Python {platform.python_version()}, redis-py {redis.__version__}, "
              f"Redis {client.info()['redis_version']}, {os.cpu_count()} CPUs, "
              f"load {os.getloadavg()[0]:.1f}, {options.rounds} rounds")
        print(f"{'':52} {'median':>9} {'least':>9} {'most':>9}")
        for threads in (1, 32):
            rounds = [hits(server, options.seconds, threads) for _ in range(options.rounds)]
            plain = "GET, json.loads"
            label = f"{threads} thread{'s' * (threads > 1)}"
            for which, unit in ((0, "wall time"), (1, "CPU time")):
                for name in rounds[0]:
                    show(f"{label}: {name}", [1e6 * one[name][which] for one in rounds],
                         f"us of {unit} a call")
                for name in list(rounds[0])[1:]:
                    show(f"{label}: {name}", [one[name][which] / one[plain][which] for one in rounds],
                         f"times a plain GET in {unit}")
        herds = [herd(server) for _ in range(min(options.rounds, 5))]
        show(f"{HERD} threads, one invalidated key", [loads for loads, _ in herds], "loads")
        show(f"{HERD} threads, one invalidated key, a load of 50 ms", [s for _, s in herds],
             "s until the last has it")


if __name__ == "__main__":
    main()
