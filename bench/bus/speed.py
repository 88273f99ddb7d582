# SPDX-License-Identifier: MIT
"""Publishing and moving messages from one process to another at full speed, all peers in turn.

A measurement takes about as long with each peer: how many messages that is, is found out first.
"""
import dataclasses
import statistics

from peers import BATCH
from programs import Cannot

COUNT_FIRST, COUNT_MAX = 500, 3000000
ENOUGH_S = 0.1  # so long must a run be to tell the rate


@dataclasses.dataclass(frozen=True)
class Row:
    """One measurement."""

    key: str
    text: str
    level: str = "process"
    batch: int = 1
    threads: int = 1
    consumed: bool = False  # by another process at the same time
    target: float = 0  # messages/s of Godwit


ROWS = (
    Row("batches", "published in batches of 64", batch=BATCH, target=1200000),
    Row("single", "published one by one", target=180000),
    Row("sixteen", "published one by one, 16 at a time", threads=16),
    Row("end_to_end", "published in batches, consumed and acknowledged", batch=BATCH,
        consumed=True, target=800000),
    Row("disk_batches", "on disk: published in batches of 64", level="disk", batch=BATCH),
    Row("disk_shared", "on disk: one by one, 64 at a time", level="disk", threads=64,
        target=100000),
)


def run_once(peer, row, count):
    """One run from an empty queue: {"rate", "cpu_us", ...}."""
    how = {"level": row.level, "batch": row.batch, "threads": row.threads}
    consumer = None
    server_ns = peer.server_cpu_ns(row.level)
    try:
        if row.consumed:
            consumer = peer.consume(count, row.level)
        published = peer.publish(count, **how)
        consumed = consumer.result() if consumer else None
    finally:
        if consumer:
            consumer.end()
    cpu_us = published["cpu_us"] + (peer.server_cpu_ns(row.level) - server_ns) / 1000 / count
    end_ns = published["end_ns"]
    if consumed:
        cpu_us += consumed["cpu_us"]
        end_ns = max(end_ns, consumed["end_ns"])
    peer.clear(row.level)
    seconds = (end_ns - published["start_ns"]) / 1e9
    return {"count": count, "seconds": seconds, "rate": count / seconds, "cpu_us": cpu_us}


def find_count(peer, row, seconds):
    """How many messages take `seconds`."""
    count = COUNT_FIRST
    found = run_once(peer, row, count)
    while found["seconds"] < ENOUGH_S and count < COUNT_MAX:
        count *= 8
        found = run_once(peer, row, count)
    return max(COUNT_FIRST, min(COUNT_MAX, int(found["rate"] * seconds)))


def measure_row(peers, row, rounds, seconds):
    """All rounds of one measurement: {peer's name: {"missing"} or its medians and rounds}. The
    first peer is what the others are compared with, and must be able to."""
    counts, result = {}, {}
    print(f"\n{row.text}", flush=True)
    for peer in peers:
        try:
            peer.check(row.key, row.level)
            counts[peer.name] = find_count(peer, row, seconds)
        except Cannot as reason:
            if peer is peers[0]:
                raise
            result[peer.name] = {"missing": str(reason)}
    able = [peer for peer in peers if peer.name in counts]
    found = {peer.name: [] for peer in able}
    for number in range(rounds):
        done = []
        for peer in able[number % len(able):] + able[:number % len(able)]:
            one = run_once(peer, row, counts[peer.name])
            found[peer.name].append(one)
            done.append(f"{peer.name} {one['rate']:,.0f}/s {one['cpu_us']:.2f} us")
        print(f"  round {number + 1} of {rounds}: " + "; ".join(done), flush=True)
    for name, each in found.items():
        result[name] = {"rate": statistics.median(one["rate"] for one in each),
                        "cpu_us": statistics.median(one["cpu_us"] for one in each), "each": each}
    ours = result[peers[0].name]
    for each in result.values():
        if "rate" in each:
            each["ratio"] = each["rate"] / ours["rate"]
    return {peer.name: result[peer.name] for peer in peers}


def print_table(results):
    """For a person: all measurements, one below the other."""
    print(f"\n{'':<50}{'messages/s':>12}{'CPU us':>9}{'Godwit = 1':>12}")
    for row in ROWS:
        print(row.text)
        for name, found in results[row.key].items():
            if "missing" in found:
                print(f"    {name:<46}  {found['missing']}")
            else:
                print(f"    {name:<46}{found['rate']:>12,.0f}{found['cpu_us']:>9.2f}"
                      f"{found['ratio']:>12.2f}")
    print("CPU: of all processes, the server too, for one message", flush=True)


def run(peers, args):
    """The section, measured and printed: (results, figures). The first peer is Godwit."""
    print(f"\nfull speed: messages of 100 bytes, {args.rounds} rounds of about {args.millis} ms "
          "each", flush=True)
    results = {row.key: measure_row(peers, row, args.rounds, args.millis / 1000) for row in ROWS}
    print_table(results)
    figures = [(row.text, results[row.key][peers[0].name]["rate"], "/s", ">=", row.target)
               for row in ROWS if row.target]
    return results, figures
