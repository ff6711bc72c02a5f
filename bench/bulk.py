"""One statement that changes many rows.

The statements follow each other on one table: INSERT into the empty table,
UPDATE, DELETE, and COPY into it, emptied again.  The COPY reads a file on the
server.  All variants run with as many rows as the slowest can bear; those that
are measured in every round also with a million.
"""

import os
import time

import schema


def write_copy_files(bench, rows):
    for keys in (1000, rows):
        path = copy_path(bench, keys, rows)
        if not os.path.exists(path):
            with open(path, "w", encoding="utf-8") as file:
                for row in range(1, rows + 1):
                    file.write(f"{row}\t{row % keys}\t0\n")


def copy_path(bench, keys, rows):
    return os.path.join(bench.work, f"rows-{keys}-{rows}.copy")


def statements(bench, keys, rows):
    return {
        "insert": f"INSERT INTO bulk SELECT i, i % {keys}, 0"
                  f" FROM generate_series(1, {rows}) i",
        "update": "UPDATE bulk SET status = status + 1",
        "delete": "DELETE FROM bulk",
        "copy": f"COPY bulk FROM '{copy_path(bench, keys, rows)}'",
    }


def empty(variant):
    """Gives it an empty table without telling anybody: TRUNCATE would."""
    variant.cluster.sql("DROP TABLE bulk;" + schema.BULK)
    variant.track("bulk", schema.TRACKED["bulk"])


def measure(bench, workload, variant, keys, rows, number):
    label = "1000" if keys == 1000 else "distinct"
    empty(variant)
    variant.cluster.checkpoint()
    for name, statement in statements(bench, keys, rows).items():
        if name == "copy":
            empty(variant)
        variant.start()
        seconds, wal = variant.cluster.timed(statement)
        returned = time.monotonic()
        variant.settle(600)
        case = f"{name}/{label}"
        bench.add(workload, case, variant, "seconds", number, seconds)
        bench.add(workload, case, variant, "wal_per_row", number, wal / rows)
        if variant.pending:
            bench.add(workload, case, variant, "delivered_seconds", number,
                      time.monotonic() - returned)
        variant.stop()
    empty(variant)


def run_sizes(bench, workload, rows, variants):
    write_copy_files(bench, rows)
    for number in bench.rounds(workload):
        for keys in (1000, rows):
            for variant in bench.turn(number, variants):
                measure(bench, workload, variant, keys, rows, number)


def run_bulk(bench):
    run_sizes(bench, "bulk", bench.settings.bulk_rows, bench.core_variants())


def run_bulk_small(bench):
    run_sizes(bench, "bulk-small", bench.settings.bulk_small_rows,
              [variant for variant in bench.variants
               if not variant.name.startswith("client")])
