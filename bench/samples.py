"""What was measured: one line for each number, in a CSV file.

A ratio compares two variants of the same round, which were measured one
shortly after the other; what is reported is the median over the rounds, with
the smallest and the largest.
"""

import csv
import statistics
from dataclasses import dataclass

FIELDS = ["workload", "case", "variant", "metric", "round", "value"]


@dataclass
class Spread:
    """The median of several numbers, and between which they lie."""
    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values):
        return cls(statistics.median(values), min(values), max(values),
                   len(values)) if values else None


def quantile(ordered, share):
    """The value below which that share of an ordered list lies."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Samples:
    def __init__(self, path):
        self.path = path
        self.values = {}        # (workload, case, variant, metric) -> {round: value}

    def load(self):
        with open(self.path, newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                self.remember(row["workload"], row["case"], row["variant"],
                              row["metric"], int(row["round"]),
                              float(row["value"]))
        return self

    def start_file(self):
        with open(self.path, "w", encoding="utf-8") as file:
            csv.writer(file).writerow(FIELDS)

    def add(self, workload, case, variant, metric, number, value):
        """Adds a number; it is in the file when this returns."""
        self.remember(workload, case, variant, metric, number, value)
        with open(self.path, "a", encoding="utf-8") as file:
            csv.writer(file).writerow(
                [workload, case, variant, metric, number, f"{value:.6g}"])

    def remember(self, workload, case, variant, metric, number, value):
        key = (workload, case, variant, metric)
        self.values.setdefault(key, {})[number] = value

    def rounds(self, workload, case, variant, metric):
        return self.values.get((workload, case, variant, metric), {})

    def spread(self, workload, case, variant, metric):
        return Spread.of(list(
            self.rounds(workload, case, variant, metric).values()))

    def ratio(self, workload, case, variant, metric, base):
        """The variant's numbers over those of the base, round by round."""
        ours = self.rounds(workload, case, variant, metric)
        theirs = self.rounds(workload, case, base, metric)
        return Spread.of([ours[number] / theirs[number] for number in ours
                          if theirs.get(number)])

    def difference(self, workload, case, variant, metric, base):
        ours = self.rounds(workload, case, variant, metric)
        theirs = self.rounds(workload, case, base, metric)
        return Spread.of([ours[number] - theirs[number] for number in ours
                          if number in theirs])

    def cases(self, workload):
        """The cases of a workload, in the order in which they were met."""
        return list(dict.fromkeys(
            case for work, case, _, _ in self.values if work == workload))

    def variants(self, workload, case):
        """What was measured for a case, in that order."""
        return list(dict.fromkeys(
            variant for work, found, variant, _ in self.values
            if (work, found) == (workload, case)))

    def has(self, workload):
        return any(work == workload for work, _, _, _ in self.values)
