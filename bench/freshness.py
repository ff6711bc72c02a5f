"""How long after COMMIT a key is still there, on an otherwise idle machine.

bench/client/freshness.c does the work and says what is measured exactly.
"""

import os

from samples import quantile


def run_freshness(bench):
    variants = [variant for variant in bench.variants
                if variant.name not in ("none", "noop", "client-floor", "client-inval")]
    for number in bench.rounds("freshness"):
        for asynchronous in (False, True):
            for variant in bench.turn(number, variants):
                measure(bench, variant, asynchronous, number)


def measure(bench, variant, asynchronous, number):
    command = [bench.client("freshness"), variant.address(),
               str(bench.settings.freshness_seconds),
               str(bench.settings.item_rows)]
    if variant.name == "client":
        command.append("unlink")
    variant.start()
    output = variant.cluster.run(command, asynchronous)
    variant.stop()

    lines = [line.split() for line in output.splitlines()]
    case = "async" if asynchronous else "sync"
    append_raw(bench, case, variant, (line[0] for line in lines))
    for column, name in ((0, "before"), (1, "after")):
        values = sorted(float(line[column]) for line in lines)
        for percent in (50, 99):
            bench.add("freshness", case, variant, f"{name}_p{percent}_us", number,
                      quantile(values, percent / 100))
    stale = sum(int(line[2]) for line in lines)
    bench.add("freshness", case, variant, "reads", number, len(lines))
    bench.add("freshness", case, variant, "stale_reads", number, stale)
    bench.add("freshness", case, variant, "stale_percent", number,
              100 * stale / len(lines))


def append_raw(bench, case, variant, values):
    """Keeps every sample, for the plot."""
    path = os.path.join(bench.results, f"freshness-{case}-{variant.name}")
    with open(path, "a", encoding="utf-8") as file:
        file.writelines(value + "\n" for value in values)
