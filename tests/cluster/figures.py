# SPDX-License-Identifier: MIT
"""How long faults held publishing and configuration up: a row for each, printed at the end."""
import calendar
import time

LIMIT_S = 10.0  # within which all goes on after a fault


def ns_of(read_at):
    """2026-11-22T10:42:13.667108584Z in nanoseconds since 1970."""
    text, _, fraction = read_at.rstrip("Z").partition(".")
    seconds = calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))
    return seconds * 1_000_000_000 + int(fraction.ljust(9, "0")[:9])


class Figures:
    """The rows."""

    def __init__(self):
        self._rows = []

    def add(self, fault, published_s, arrived_s, refreshed_s):
        """One fault: when messages of each accountservice were confirmed again, when they arrived,
        and when everybody had a new configuration, in seconds."""
        self._rows.append((fault, *published_s, arrived_s, refreshed_s))
        print(f"{fault}: {self._rows[-1][1:]}")

    def lines(self):
        """As text."""
        if not self._rows:
            return
        yield f"{'':<42} {'publishing goes on':^23} {'':>8} {'configuration':>15}"
        yield f"{'':<42} {'first service':>13} {'second':>9} {'arrives':>8} {'reaches all':>15}"
        for fault, first, second, arrived, refreshed in self._rows:
            yield f"{fault:<42} {first:13.2f} {second:9.2f} {arrived:8.2f} {refreshed:15.2f}"
