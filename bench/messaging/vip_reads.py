# SPDX-License-Identifier: MIT
"""Reads of the VIP account: accountservice, a broker or bus, vipservice, as they run in earnest.

Each 200 is a notification, which must be counted in vipservice's store. A rate is sustained when
all requests are answered with 200, and the notifications not counted yet at the end are no more
than those of LAG_S seconds: nothing grows. The first try is full speed, which may be more than is
sustained; then rates are tried that the load keeps to (bench/messaging/http_load.c).
"""
import dataclasses
import json
import time

from machine import memory_kib
from programs import Failure, Running, as_arguments
from service import http_request

PATH = "/accounts/10000"
QUEUE = "vip_queue"
PROGRAMS = ("http_load", "accountservice", "vipservice", "configserver")
KEPT_UP = 0.98   # of the requests that were due were answered
LAG_S = 0.5
DRAIN_MAX_S = 180
FULL_SPEED_MAX_S = 10  # what piles up has to be drained
CONNECTIONS = 128
TARGETS = {"errors": 0, "lost": 0, "growth_mib": 4.0}
SIZES = {  # as of bench/command.py
    "vip_seconds": (2, 5, "at each rate of VIP reads"),
    "vip_halvings": (1, 3, "steps between a rate that is sustained and one that is not"),
    "vip_confirm_seconds": (4, 20, "at the rate that was found"),
}


@dataclasses.dataclass(frozen=True)
class Goal:
    """The rates that are tried, and the one that is to be sustained."""

    start_rate: int
    rate_max: int
    sustained: int


class Reads:
    """The system under load, with the 200s counted since its start."""

    def __init__(self, system, depth):
        self.system = system
        self.depth = depth
        self.n_200 = 0

    def counted(self):
        """Notifications in vipservice's store."""
        status, body = http_request(self.system.layout.vips[0], "GET", "/vips/10000")
        if status not in (200, 404):
            raise Failure(f"vipservice answered {status}: {body}")
        return json.loads(body)["reads"] if status == 200 else 0

    def wait_counted(self):
        """Wait until all are counted; returns (seconds it took, how many are missing)."""
        begin = time.monotonic()
        missing = self.n_200 - self.counted()
        while missing > 0 and time.monotonic() - begin < DRAIN_MAX_S:
            time.sleep(0.02)
            missing = self.n_200 - self.counted()
        return time.monotonic() - begin, missing

    def memory(self):
        """Memory of the two services that no file stands behind, and all of it, in KiB."""
        return {f"{service.name}_{kind}_kib": memory_kib(service.pid, what)
                for service in (self.system.account, *self.system.vips)
                for kind, what in (("anon", "RssAnon"), ("rss", "VmRSS"))}

    def load(self, rate, seconds):
        """One step; the rate 0 is as fast as it goes."""
        before = self.memory()
        result = Running(None, "http_load", as_arguments({
            "port": self.system.layout.account, "path": PATH, "rate": rate, "seconds": seconds,
            "connections": CONNECTIONS}), seconds + 60).result()
        self.n_200 += result["n_200"]
        result["lag"] = self.n_200 - self.counted()
        result["queue"] = self.depth() if self.depth else None
        result["before"], result["after"] = before, self.memory()
        result["drain_s"], result["missing"] = self.wait_counted()
        result["drained"] = self.memory()
        result["queue_drained"] = self.depth() if self.depth else None
        result["errors"] = sum(result[key] for key in ("n_503", "n_other", "n_broken",
                                                       "n_unanswered"))
        result["target_rate"] = rate
        result["sustained"] = (result["errors"] == 0 and result["missing"] == 0
                               and result["rate"] >= KEPT_UP * rate
                               and result["lag"] <= LAG_S * result["rate"])
        name = f"{rate:,}/s" if rate else "full speed"
        print(f"  {name}: {result['rate']:,.0f}/s answered with 200, p99 "
              f"{result['p99_us'] / 1000:.1f} ms, {result['errors']} errors, {result['lag']:,} not "
              f"counted at the end, all counted {result['drain_s']:.1f} s later"
              f"{'' if result['sustained'] else ': NOT sustained'}", flush=True)
        return result


def search(reads, goal, seconds, halvings, confirm_seconds):
    """Find the highest rate that is sustained: up by half until one is not, then in between, then
    for longer. Returns all steps; the last one is the result."""
    steps, good, bad, rate = [], 0, None, goal.start_rate
    while bad is None and rate <= goal.rate_max:
        steps.append(reads.load(rate, seconds))
        good, bad = (rate, None) if steps[-1]["sustained"] else (good, rate)
        rate = rate * 3 // 2
    for _ in range(halvings if bad else 0):
        rate = (good + bad) // 2
        steps.append(reads.load(rate, seconds))
        good, bad = (rate, bad) if steps[-1]["sustained"] else (good, rate)
    rate = good or goal.start_rate // 2
    for _ in range(5):
        steps.append(reads.load(rate, confirm_seconds))
        if steps[-1]["sustained"]:
            break
        rate = rate * 9 // 10
    return steps


def growth_mib(step):
    """How much memory the services gained from before the step until all was counted."""
    return sum(step["drained"][key] - step["before"][key] for key in step["before"]
               if key.endswith("_anon_kib")) / 1024


def print_table(fixed, full_speed):
    """For a person."""
    print(f"\n{'':<12}{'200/s':>9}{'p50 ms':>8}{'p99 ms':>9}{'errors':>8}{'200s':>10}{'missing':>9}"
          f"{'queue end':>11}{'drained':>9}{'MiB before':>12}{'end':>7}{'drained':>9}")
    for name, step in (("fixed rate", fixed), ("full speed", full_speed)):
        mib = [sum(step[when][k] for k in step[when] if k.endswith("_anon_kib")) / 1024
               for when in ("before", "after", "drained")]
        queue = ["-" if step[key] is None else f"{step[key]:,}"
                 for key in ("queue", "queue_drained")]
        print(f"{name:<12}{step['rate']:>9,.0f}{step['p50_us'] / 1000:>8.1f}"
              f"{step['p99_us'] / 1000:>9.1f}{step['errors']:>8}{step['n_200']:>10,}"
              f"{step['missing']:>9}{queue[0]:>11}{queue[1]:>9}"
              f"{mib[0]:>12.1f}{mib[1]:>7.1f}{mib[2]:>9.1f}")
    print("memory: both services, without pages that a file stands behind; an error at full speed "
          "is the 503\nof a full outbox")


def figures(step, goal):
    """[(text, value, unit, sign, target)]."""
    is_sustained = step["sustained"]
    return [
        ("VIP reads sustained" + ("" if is_sustained else " (none was)"),
         step["rate"] if is_sustained else 0, "/s", ">=", goal.sustained),
        ("VIP reads: errors", step["errors"], "", "<=", TARGETS["errors"]),
        ("VIP reads: 200s without a notification", step["missing"], "", "<=", TARGETS["lost"]),
        ("VIP reads: growth of memory", growth_mib(step), "MiB", "<=", TARGETS["growth_mib"]),
    ]


def silence(service):
    """Let a program's standard output go nowhere: vipservice writes a line for each message, which
    nobody reads here. Its log goes to standard error."""
    service.command = ["sh", "-c", 'exec "$0" "$@" >/dev/null', *service.command]


def run(system, depth, goal, args):
    """The section, measured and printed: (results, figures). What carries the messages runs
    already; `depth()` is how many wait there; None: not known."""
    print(f"\nVIP reads: GET {PATH} over {CONNECTIONS} connections, at full speed, then at fixed "
          f"rates for {args.vip_seconds} s each", flush=True)
    system.config.start().wait_healthy()
    for service in system.vips:
        silence(service)
    for service in (system.account, *system.vips):
        service.start()
    for service in (system.account, *system.vips):
        service.wait_healthy()
    reads = Reads(system, depth)
    full_speed = reads.load(0, min(args.vip_confirm_seconds, FULL_SPEED_MAX_S))
    steps = search(reads, goal, args.vip_seconds, args.vip_halvings, args.vip_confirm_seconds)
    best = max((step for step in (full_speed, steps[-1]) if step["sustained"]),
               key=lambda step: step["rate"], default=steps[-1])
    print_table(steps[-1], full_speed)
    return {"steps": steps, "full_speed": full_speed, "best": best}, figures(best, goal)
