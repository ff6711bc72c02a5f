"""Reads bench/targets and compares it with what was measured."""

import os
from dataclasses import dataclass

from samples import Spread

PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "targets")


@dataclass
class Target:
    text: str
    workload: str
    case: str
    metric: str
    variant: str
    how: str            # "over", "minus" or "alone"
    base: str
    statistic: str      # "median", "min" or "max"
    at_least: bool
    bound: float

    def measured(self, samples) -> Spread:
        """What was measured, None if it was not."""
        what = (self.workload, self.case, self.variant, self.metric)
        if self.how == "over":
            return samples.ratio(*what, self.base)
        if self.how == "minus":
            return samples.difference(*what, self.base)
        return samples.spread(*what)

    def is_met(self, spread):
        value = {"median": spread.median, "min": spread.low,
                 "max": spread.high}[self.statistic]
        return value >= self.bound if self.at_least else value <= self.bound


def read_target(line):
    fields, text = line.split("#", 1)
    fields = fields.split()
    workload, case, metric, variant, how = fields[:5]
    rest = fields[5:]
    base = rest.pop(0) if how != "alone" else ""
    statistic, comparison, bound = rest
    return Target(text.strip(), workload, case, metric, variant, how, base,
                  statistic, comparison == ">=", float(bound))


def read_targets():
    with open(PATH, encoding="utf-8") as file:
        return [read_target(line) for line in file
                if line.strip() and not line.startswith("#")]
