# SPDX-License-Identifier: MIT
"""How consumers of one queue share its messages, by number, prefetch and what a message takes."""
from programs import Running

QUEUE = "scaling.shared"
TIMEOUT_S = 180
FAST_COUNT = 60000


def _one(node, clients, prefetch, work_us, count):
    """Publish to consumers that wait; its line of results."""
    node.declare([QUEUE], "classic")
    consumers = Running(node.url, "many_clients", [
        "share", "-clients", str(clients), "-queue", QUEUE, "-count", str(count),
        "-prefetch", str(prefetch), "-work-us", str(work_us)], TIMEOUT_S)
    try:
        consumers.wait_ready()
        Running(node.url, "godwit_load", ["publish", "-queue", QUEUE, "-count", str(count)],
                TIMEOUT_S).result()
        result = consumers.result()
    finally:
        consumers.end()
    node.delete([QUEUE])
    return {**result, "prefetch": prefetch, "work_us": work_us,
            "least_share": result["least"] * clients / count,
            "most_share": result["most"] * clients / count}


def run(node, args):
    """Measure and print."""
    print(f"\nsharing: one classic queue, {args.each:,} messages a consumer, {FAST_COUNT:,} in all "
          f"without work; shares against an even one\n{'work':<9}{'prefetch':>9}{'consumers':>11}"
          f"{'messages/s':>12}{'least':>8}{'most':>8}", flush=True)
    result = []
    for work_us, prefetches in ((0, (0,)), (1000, (1, 10, 100, 0))):
        for prefetch in prefetches:
            for clients in args.consumers:
                count = args.each * clients if work_us else FAST_COUNT
                row = _one(node, clients, prefetch, work_us, count)
                result.append(row)
                print(f"{work_us / 1000:g} ms{'':<5}{prefetch or 'tuned':>8}{clients:>11}"
                      f"{row['rate']:>12,.0f}{row['least_share']:>8.2f}{row['most_share']:>8.2f}",
                      flush=True)
    return result
