# SPDX-License-Identifier: MIT
"""Publishing and consuming at full speed, and the latency at a fixed rate, of all clients.

The clients take turns within a round, and each round begins with another one.
"""
import statistics

from programs import MANDATORY, Cannot

WINDOW, PREFETCH = 1000, 500
SPEED_TARGETS = {"rate_ratio": 0.95, "publish_us": {"memory": 1.0, "process": 3.0},
                 "consume_us": 1.5}
ADDED_P50_US = 100.0


def in_turns(clients, rounds, measure):
    """Call measure(client) for each client in each round; who cannot is not asked again."""
    for number in range(rounds):
        done = []
        for client in clients[number % len(clients):] + clients[:number % len(clients)]:
            if client.missing:
                continue
            try:
                done.append(f"{client.name} {measure(client)}")
            except Cannot as reason:
                client.missing = str(reason)
        print(f"  round {number + 1} of {rounds}: " + "; ".join(done), flush=True)


def measure_speed(client, broker, directory, count):
    """Fill a queue, and empty it."""
    queue = f"speed_{client.key}"
    published = client.run(broker, directory, "publish", queue=queue, count=count,
                           window=WINDOW).result()
    consumed = client.run(broker, directory, "consume", queue=queue, count=count,
                          prefetch=PREFETCH).result()
    broker.delete(queue)
    client.note("publish", published)
    client.note("consume", consumed)
    return (f"{published['rate']:,.0f}/s {published['cpu_us']:.2f} us, "
            f"{consumed['rate']:,.0f}/s {consumed['cpu_us']:.2f} us")


def run_speed(clients, broker, directory, args):
    """The section, measured and printed."""
    print(f"\nfull speed: {args.count:,} persistent messages of 100 bytes, confirm window "
          f"{WINDOW}, prefetch {PREFETCH}", flush=True)
    in_turns(clients, args.rounds, lambda c: measure_speed(c, broker, directory, args.count))
    print(f"\n{'':<18}{'publish/s':>11}{'CPU us':>8}{'MiB':>7}{'consume/s':>12}{'CPU us':>8}"
          f"{'MiB':>7}")
    for client in clients:
        if client.missing:
            print(f"{client.name:<18}  missing: {client.missing}")
            continue
        row = "".join(f"{client.median(mode, 'rate'):>{width},.0f}"
                      f"{client.median(mode, 'cpu_us'):>8.2f}"
                      f"{client.median(mode, 'rss_kib') / 1024:>7.1f}"
                      for mode, width in (("publish", 11), ("consume", 12)))
        print(f"{client.name:<18}{row}")
    return speed_figures(clients)


def best_peer(clients, mode):
    """The rate of the fastest client that is not ours, each as it is at its best."""
    return max(c.median(mode, "rate") for c in clients if not c.level and c.name != MANDATORY)


def speed_figures(clients):
    """[(text, value, unit, sign, target)] of the section."""
    same = next(c for c in clients if c.name == MANDATORY)
    found = []
    for client in clients:
        if not client.level or client.missing:
            continue
        for mode in ("publish", "consume"):
            found.append((f"{client.name}: {mode} rate against the best peer",
                          client.median(mode, "rate") / best_peer(clients, mode), "x", ">=",
                          SPEED_TARGETS["rate_ratio"]))
        found.append((f"{client.name}: publish rate against the loop, mandatory",
                      client.median("publish", "rate") / same.median("publish", "rate"), "x", ">=",
                      SPEED_TARGETS["rate_ratio"]))
        if client.level in SPEED_TARGETS["publish_us"]:
            found.append((f"{client.name}: CPU a published message",
                          client.median("publish", "cpu_us"), "us", "<=",
                          SPEED_TARGETS["publish_us"][client.level]))
        found.append((f"{client.name}: CPU a consumed message",
                      client.median("consume", "cpu_us"), "us", "<=",
                      SPEED_TARGETS["consume_us"]))
    return found


def measure_latency(client, broker, directory, args):
    """Publish at the rate in one process, handle in another."""
    queue = f"pace_{client.key}"
    count = args.pace * args.pace_seconds
    # What comes in the first half second meets connections and queues that are new.
    listener = client.run(broker, directory, "listen", queue=queue, count=count,
                          skip=args.pace // 2, prefetch=PREFETCH)
    try:
        listener.wait_ready()
        paced = client.run(broker, directory, "pace", queue=queue, count=count, rate=args.pace,
                           window=WINDOW).result()
        heard = listener.result()
    finally:
        listener.end()
    broker.delete(queue)
    client.note("pace", paced)
    client.note("listen", heard)
    return f"p50 {heard['p50_us']:,.0f} us p99 {heard['p99_us']:,.0f} us"


def run_latency(clients, broker, directory, args):
    """The section, measured and printed."""
    clients = [c for c in clients if c.name != MANDATORY]  # its latency says nothing new
    print(f"\nlatency from publish to handler at {args.pace:,}/s, {args.pace_seconds} s each; late "
          "is when messages left after their time", flush=True)
    in_turns(clients, args.latency_rounds, lambda c: measure_latency(c, broker, directory, args))
    print(f"\n{'':<18}{'p50 us':>9}{'p99 us':>9}{'late p99':>10}{'lost':>6}{'CPU us pub':>12}"
          f"{'sub':>7}{'MiB pub':>9}{'sub':>6}")
    for client in clients:
        if client.missing:
            print(f"{client.name:<18}  missing: {client.missing}")
            continue
        lost = sum(r["missing"] for r in client.rounds["listen"])
        print(f"{client.name:<18}{client.median('listen', 'p50_us'):>9,.0f}"
              f"{client.median('listen', 'p99_us'):>9,.0f}"
              f"{client.median('pace', 'late_p99_us'):>10,.0f}{lost:>6}"
              f"{client.median('pace', 'cpu_us'):>12.1f}{client.median('listen', 'cpu_us'):>7.1f}"
              f"{client.median('pace', 'rss_kib') / 1024:>9.1f}"
              f"{client.median('listen', 'rss_kib') / 1024:>6.1f}")
    return latency_figures(clients)


def latency_figures(clients):
    """What the outbox adds: the difference of the levels, round by round."""
    by_level = {c.level: c.rounds.get("listen", []) for c in clients if c.level}
    memory, process = by_level.get("memory", []), by_level.get("process", [])
    if not memory or not process:
        return []
    added = statistics.median(p["p50_us"] - m["p50_us"] for p, m in zip(process, memory))
    return [("added latency of the outbox at p50, process minus memory", added, "us", "<",
             ADDED_P50_US)]
