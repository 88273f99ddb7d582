# SPDX-License-Identifier: MIT
"""What a message costs when many others wait: publishing and consuming at a queue's depth.

The queue is filled once; then each round publishes and consumes as many, so its depth stays.
"""
import statistics

from latency import able
from peers import BATCH
from programs import Failure

COST_MAX = 1.25  # CPU a message at the greatest depth, against the empty queue: about constant


def measure_round(peer, count):
    """{"publish_rate", "publish_us", "consume_rate", "consume_us"}."""
    found = {}
    server_ns = peer.server_cpu_ns()
    for mode in ("publish", "consume"):
        if mode == "publish":
            result = peer.publish(count, batch=BATCH)
        else:
            result = peer.consume(count).result()
        now_ns = peer.server_cpu_ns()
        found[f"{mode}_rate"] = result["rate"]
        found[f"{mode}_us"] = result["cpu_us"] + (now_ns - server_ns) / 1000 / count
        server_ns = now_ns
    return found


def measure_depth(peer, depth, count, rounds):
    """The medians at one depth."""
    if depth:
        peer.publish(depth, batch=BATCH)
    each = [measure_round(peer, count) for _ in range(rounds)]
    peer.clear()
    return {**{key: statistics.median(one[key] for one in each) for key in each[0]}, "each": each}


def print_row(name, depth, found):
    """For a person."""
    print(f"{name:<14}{depth:>12,}{found['publish_rate']:>13,.0f}{found['publish_us']:>8.2f}"
          f"{found['consume_rate']:>13,.0f}{found['consume_us']:>8.2f}", flush=True)


def run(peers, args):
    """The section, measured and printed: (results, figures)."""
    depths = (0, args.depth // 10, args.depth)
    print(f"\ndepth: {args.depth_count:,} published and consumed with as many waiting before, "
          f"{args.depth_rounds} rounds\n\n{'':<14}{'depth':>12}{'published/s':>13}{'CPU us':>8}"
          f"{'consumed/s':>13}{'CPU us':>8}", flush=True)
    results = {}
    measured = able(peers, "depth")
    for depth in depths:
        for peer in measured:
            if peer.depth_max is not None and depth > peer.depth_max:
                print(f"{peer.name:<14}{depth:>12,}  {peer.cannot['deeper']}", flush=True)
                continue
            try:
                found = measure_depth(peer, depth, args.depth_count, args.depth_rounds)
            except Failure as reason:
                if peer is peers[0]:
                    raise
                print(f"{peer.name:<14}{depth:>12,}  failed: {' '.join(str(reason).split())}",
                      flush=True)
                continue
            print_row(peer.name, depth, found)
            results.setdefault(peer.name, {})[str(depth)] = found
    ours = results[peers[0].name]
    empty, full = ours[str(depths[0])], ours[str(depths[-1])]
    return results, [(f"CPU to {mode} with {depths[-1]:,} waiting, to none",
                      full[f"{mode}_us"] / empty[f"{mode}_us"], "x", "<=", COST_MAX)
                     for mode in ("publish", "consume")]
