# SPDX-License-Identifier: MIT
"""From publish to the handler in another process at a fixed rate, and what two processes that only
wait cost."""
import statistics
import time

import servers
from programs import Cannot, Failure

IDLE_SETTLE_S = 1  # what connecting leaves to be done is over then
TARGETS = {"p50_us": 20, "p99_us": 100}


def able(peers, what):
    """Those that can be measured; prints why the others cannot."""
    found = []
    for peer in peers:
        try:
            peer.check(what)
            found.append(peer)
        except Cannot as reason:
            print(f"  {peer.name}: {reason}", flush=True)
    return found


def measure_latency(peer, rate, seconds):
    """One round: publish at the rate in one process, handle in another."""
    count = rate * seconds
    receive = peer.receive_options("process")
    # What comes in the first half second meets connections and queues that are new.
    listener = peer.run("listen", {"count": count, "skip": rate // 2, **receive})
    try:
        listener.wait_ready()
        paced = peer.run("pace", {"count": count, "rate": rate,
                                  **peer.options(1, 1, "process")}).result()
        heard = listener.result()
    finally:
        listener.end()
    peer.clear()
    if heard["missing"]:
        raise Failure(f"{peer.name} lost {heard['missing']} of {count} messages")
    return {"p50_us": heard["p50_us"], "p99_us": heard["p99_us"],
            "late_p99_us": paced["late_p99_us"]}


def run_latency(peers, args):
    """The section, measured and printed: (results, figures)."""
    print(f"\nlatency from publish to handler at {args.pace:,}/s, {args.pace_seconds} s each; late "
          "is when messages left after their time", flush=True)
    peers = able(peers, "latency")
    each = {peer.name: [] for peer in peers}
    for number in range(args.latency_rounds):
        done = []
        for peer in peers[number % len(peers):] + peers[:number % len(peers)]:
            one = measure_latency(peer, args.pace, args.pace_seconds)
            each[peer.name].append(one)
            done.append(f"{peer.name} p50 {one['p50_us']:,.0f} us p99 {one['p99_us']:,.0f} us")
        print(f"  round {number + 1} of {args.latency_rounds}: " + "; ".join(done), flush=True)
    print(f"\n{'':<14}{'p50 us':>9}{'p99 us':>9}{'late p99':>10}")
    results = {}
    for name, rounds in each.items():
        results[name] = {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
        print(f"{name:<14}{results[name]['p50_us']:>9,.1f}{results[name]['p99_us']:>9,.1f}"
              f"{results[name]['late_p99_us']:>10,.1f}", flush=True)
        results[name]["each"] = rounds
    ours = results[peers[0].name]
    return results, [(f"from publish to handler at {args.pace:,}/s, {key[:3]}", ours[key], "us",
                      "<", target) for key, target in TARGETS.items()]


def measure_idle(peer, seconds):
    """Two processes that are connected, with a subscription each, and nothing to do."""
    receive = peer.receive_options("process")
    waiting = []
    try:
        for _ in range(2):
            waiting.append(peer.run("idle", receive).wait_ready())
        time.sleep(IDLE_SETTLE_S)
        before = [servers.usage(process.pid) for process in waiting]
        server_before = peer.server_usage()
        time.sleep(seconds)
        after = [servers.usage(process.pid) for process in waiting]
        server_after = peer.server_usage()
    finally:
        for process in waiting:
            process.end()
    peer.clear()
    found = {"cpu_us": sum(a[0] - b[0] for a, b in zip(after, before)) / 1000,
             "switches": sum(a[1] - b[1] for a, b in zip(after, before))}
    if server_before:
        found["server_cpu_us"] = (server_after[0] - server_before[0]) / 1000
        found["server_switches"] = server_after[1] - server_before[1]
    return found


def run_idle(peers, args):
    """The section, measured and printed: (results, figures)."""
    print(f"\nidle: two connected processes with a subscription each, {args.idle_seconds} s",
          flush=True)
    results = {peer.name: measure_idle(peer, args.idle_seconds) for peer in able(peers, "idle")}
    print(f"\n{'':<14}{'CPU us':>9}{'switches':>10}{'server: us':>12}{'switches':>10}")
    for name, found in results.items():
        print(f"{name:<14}{found['cpu_us']:>9,.0f}{found['switches']:>10,}"
              + (f"{found['server_cpu_us']:>12,.0f}{found['server_switches']:>10,}"
                 if "server_cpu_us" in found else f"{'none':>12}"), flush=True)
    ours = results[peers[0].name]
    return results, [("idle: CPU of two processes", ours["cpu_us"], "us", "<=", 0),
                     ("idle: switches of context", ours["switches"], "", "<=", 0)]
