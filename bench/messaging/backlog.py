# SPDX-License-Identifier: MIT
"""Messages kept while the broker is away, and drained when it is back, beside live traffic.

The broker is away for the program as it is while it restarts: nobody listens on its port
(rabbitmqctl suspend_listeners). Connections that were made before go on, among them that of the
process that receives the live messages.
"""
from programs import DISK_THREADS, Cannot, Client, Failure

BACKLOG, LIVE = "backlog", "backlog_live"
LIVE_RATE = 1000
TARGETS = {"growth_mib": 8.0, "drain_ratio": 0.95, "live_p99_ms": 250.0, "lost": 0}


def measure(broker, directory, level, count):
    """What one level does with `count` messages, as a dictionary; Cannot when there is no such."""
    broker.delete(BACKLOG)
    listener = Client("", "godwit_load", "memory").run(broker, directory, "listen", queue=LIVE,
                                                       timeout_s=600).wait_ready()
    program = None
    try:
        broker.control("suspend_listeners")
        try:
            program = Client("", "godwit_load", level).run(
                broker, directory, "backlog", queue=BACKLOG, live_queue=LIVE, count=count,
                rate=LIVE_RATE, timeout_s=600)
            accepted = program.line()
            print(f"  {level}: {count:,} accepted at {accepted['rate']:,.0f}/s, "
                  f"{accepted['cpu_us']:.2f} us each; the broker comes back", flush=True)
        finally:
            broker.control("resume_listeners")
        drained = program.result()
        live = listener.result()
    finally:
        listener.end()
        if program:
            program.end()
    arrived = broker.depth(BACKLOG)
    broker.delete(BACKLOG)
    broker.delete(LIVE)
    return {"level": level, "accepted": accepted, "drained": drained, "live": live,
            "lost": max(0, count - arrived) + live["missing"],
            "duplicates": max(0, arrived - count) + live["duplicates"]}


def print_table(results):
    """For a person."""
    print(f"\n{'':<9}{'accepted/s':>11}{'MiB before':>12}{'1/10':>12}{'all':>12}{'drained':>12}"
          f"{'drained/s':>11}{'live p50 ms':>12}{'p99 ms':>9}{'lost':>6}{'twice':>7}")
    for row in results:
        if "missing" in row:
            print(f"{row['level']:<9}  missing: {row['missing']}")
            continue
        before, tenth, after, drained = (
            f"{part[rss] / 1024:.1f}/{part[anon] / 1024:.1f}" for part, rss, anon in (
                (row["accepted"], "rss_before_kib", "anon_before_kib"),
                (row["accepted"], "rss_tenth_kib", "anon_tenth_kib"),
                (row["accepted"], "rss_kib", "anon_kib"), (row["drained"], "rss_kib", "anon_kib")))
        print(f"{row['level']:<9}{row['accepted']['rate']:>11,.0f}{before:>12}{tenth:>12}"
              f"{after:>12}{drained:>12}{row['drained']['rate']:>11,.0f}"
              f"{row['live']['p50_us'] / 1000:>12,.1f}{row['live']['p99_us'] / 1000:>9,.1f}"
              f"{row['lost']:>6}{row['duplicates']:>7}")
    print("resident memory as all/without pages that a file stands behind, which the kernel takes "
          "back")


def figures(results, publish_rates):
    """[(text, value, unit, sign, target)]."""
    found = []
    for row in results:
        if "missing" in row:
            continue
        name = f"backlog, {row['level']}"
        accepted = row["accepted"]
        if row["level"] != "memory":  # which is not meant to be flat
            found.append((f"{name}: growth of memory from 1/10 to all of it",
                          (accepted["anon_kib"] - accepted["anon_tenth_kib"]) / 1024, "MiB", "<=",
                          TARGETS["growth_mib"]))
        if publish_rates.get(row["level"]):
            found.append((f"{name}: drain and live rate against that of publishing",
                          (row["drained"]["rate"] + LIVE_RATE) / publish_rates[row["level"]], "x",
                          ">=", TARGETS["drain_ratio"]))
        found.append((f"{name}: p99 of live messages meanwhile", row["live"]["p99_us"] / 1000,
                      "ms", "<=", TARGETS["live_p99_ms"]))
        found.append((f"{name}: messages lost", row["lost"], "", "<=", TARGETS["lost"]))
    return found


def run(broker, directory, args, publish_rates):
    """The section, measured and printed: (results, figures)."""
    print(f"\nbacklog: {args.backlog:,} messages while the broker is away ({DISK_THREADS} threads "
          f"at level disk), then {LIVE_RATE:,}/s to another queue while it drains", flush=True)
    results = []
    for level in args.backlog_levels:
        try:
            results.append(measure(broker, directory, level, args.backlog))
        except Cannot as reason:
            results.append({"level": level, "missing": str(reason)})
    if not results:
        raise Failure("no level of the outbox is left to be measured")
    print_table(results)
    return results, figures(results, publish_rates)
