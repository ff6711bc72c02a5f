"""Transactions per second: single-row updates, pgbench's standard script,
transactions that touch no tracked table; and the WAL that they write.
"""

import os
import re

from account import Account

UPDATE = """\\set id random(1, {rows})
UPDATE item SET status = status + 1 WHERE id = :id;
"""
UNTOUCHED = """\\set id random(1, {rows})
UPDATE plain SET status = status + 1 WHERE id = :id;
"""


# Changes a row in each page of the tables.  Triggers that do not insist on it
# do not fire.
TOUCH_PAGES = """
CHECKPOINT;
SET session_replication_role = replica;
UPDATE item SET status = status WHERE id % 30 = 0;
UPDATE plain SET status = status WHERE id % 30 = 0;
UPDATE pgbench_accounts SET abalance = abalance WHERE aid % 30 = 0;
"""


def warm_up(bench):
    """The first change of a page after a checkpoint writes all of the page
    into the WAL.  That is over when measuring starts, as it is most of the
    time: it would hide what tracking costs behind what checkpoints cost."""
    for cluster in bench.clusters():
        cluster.sql(TOUCH_PAGES)
    for variant in bench.variants:
        variant.settle()


def write_scripts(bench):
    for name, text in (("update", UPDATE), ("untouched", UNTOUCHED)):
        with open(script_path(bench, name), "w", encoding="utf-8") as file:
            file.write(text.format(rows=bench.settings.item_rows))


def script_path(bench, name):
    return os.path.join(bench.work, name + ".pgbench")


def pgbench(bench, cluster, script, clients, *more):
    """The command; prepared statements, so that the baseline is fast."""
    command = [cluster.program("pgbench"), "--no-vacuum", "--protocol=prepared",
               f"--client={clients}", f"--jobs={min(clients, bench.cores)}",
               *more]
    if script != "standard":
        command.append("--file=" + script_path(bench, script))
    return command


def client_command(bench, variant, script, clients):
    """For the variants whose client does more than pgbench can."""
    rows = bench.settings.scale if script == "standard" else bench.settings.item_rows
    command = [bench.client("load"), script, str(clients),
               str(bench.settings.slice_seconds), str(rows)]
    if variant.name == "client":
        command.append(variant.address())
    return command


def measure(bench, variant, script, clients, asynchronous):
    """Transactions per second; and microseconds of processor time that each took, by
    whose they were."""
    cluster = variant.cluster
    cluster.sql("TRUNCATE pgbench_history; VACUUM")
    if variant.name.startswith("client"):
        command = client_command(bench, variant, script, clients)
    else:
        command = pgbench(bench, cluster, script, clients,
                          f"--time={bench.settings.slice_seconds}")
    variant.start()
    with Account(bench, variant) as account:
        output = cluster.run(command, asynchronous)
    variant.stop()
    tps = float(re.search(r"tps = ([0-9.]+)", output).group(1))
    return tps, {who: 1e6 * seconds / (tps * bench.settings.slice_seconds)
                 for who, seconds in account.seconds.items()}


def share_at_commit(variant):
    """How many of the keys since the last reset COMMIT itself delivered: with
    delivery "commit" all, or it was not that which was measured."""
    return variant.cluster.number(
        "SELECT 100.0 * sum(delivered_at_commit)"
        " / greatest(sum(delivered_at_commit + delivered_by_worker), 1)"
        " FROM inval_stats")


def synchrony(asynchronous):
    return "async" if asynchronous else "sync"


def run_throughput(bench):
    """Every case with every variant in turn, in each round."""
    write_scripts(bench)
    warm_up(bench)
    for number in bench.rounds("throughput", bench.settings.throughput_rounds):
        for script, numbers in (("update", bench.settings.clients), ("standard", (8,))):
            for clients in numbers:
                for asynchronous in (False, True):
                    case = f"{script}/{clients}/{synchrony(asynchronous)}"
                    for variant in bench.turn(number):
                        if variant.name == "inval-commit":
                            variant.cluster.sql("SELECT inval_stats_reset()")
                        tps, processor = measure(bench, variant, script, clients,
                                                 asynchronous)
                        bench.add("throughput", case, variant, "tps", number, tps)
                        for who, microseconds in processor.items():
                            bench.add("throughput", case, variant, f"{who}_us", number,
                                      microseconds)
                        if variant.name == "inval-commit":
                            bench.add("throughput", case, variant,
                                      "at_commit_percent", number,
                                      share_at_commit(variant))


def run_untouched(bench):
    write_scripts(bench)
    warm_up(bench)
    for number in bench.rounds("untouched"):
        for clients in (1, 8):
            for variant in bench.turn(number, bench.core_variants()):
                bench.add("untouched", f"{clients}/async", variant, "tps", number,
                          measure(bench, variant, "untouched", clients, True)[0])


def run_wal(bench):
    """Bytes of WAL for each transaction, deliveries included.

    Without full-page images, which have to do with the checkpoints and not
    with the variant."""
    write_scripts(bench)
    variants = [variant for variant in bench.variants
                if not variant.name.startswith("client")]
    for variant in variants:
        variant.cluster.sql("ALTER SYSTEM SET full_page_writes = off;"
                            "SELECT pg_reload_conf()")
    for number in bench.rounds("wal", 3):
        for script in ("update", "standard"):
            for variant in bench.turn(number, variants):
                bench.add("wal", script, variant, "bytes", number,
                          wal_bytes(bench, variant, script))
    for variant in variants:
        variant.cluster.sql("ALTER SYSTEM RESET full_page_writes;"
                            "SELECT pg_reload_conf()")


def wal_bytes(bench, variant, script):
    cluster = variant.cluster
    transactions = bench.settings.wal_transactions
    cluster.sql("TRUNCATE pgbench_history; VACUUM")
    variant.start()
    before = cluster.sql("SELECT pg_current_wal_insert_lsn()")
    cluster.run(pgbench(bench, cluster, script, 1,
                        f"--transactions={transactions}"), asynchronous=True)
    variant.settle()
    written = cluster.number(
        f"SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{before}')")
    variant.stop()
    return written / transactions
