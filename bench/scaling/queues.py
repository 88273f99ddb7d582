# SPDX-License-Identifier: MIT
"""Confirmed, persistent messages through one queue and through several at once.

Each queue has a publisher of its own, and then a consumer: programs of Godwit with the outbox at
level memory. Whatever is measured shares this machine's cores; the broker's CPU time a message is
what tells how far a machine with more of them would come.
"""
import statistics

from programs import Running

WINDOW, PREFETCH = 1000, 500
TIMEOUT_S = 300


def _at_once(nodes, mode, names, count, is_quorum):
    """All programs together: messages/s, CPU us of the broker's nodes and of the clients a message.
    A program connects to one node, the next program to the next."""
    before = [one.cpu_s() for one in nodes]
    running = [Running(nodes[i % len(nodes)].url, "godwit_load",
                       [mode, "-queue", name, "-count", str(count), "-window", str(WINDOW),
                        "-prefetch", str(PREFETCH), "-quorum", str(int(is_quorum))], TIMEOUT_S)
               for i, name in enumerate(names)]
    try:
        results = [program.result() for program in running]
    finally:
        for program in running:
            program.end()
    broker_s = sum(one.cpu_s() for one in nodes) - sum(before)
    seconds = (max(r["end_ns"] for r in results) - min(r["start_ns"] for r in results)) / 1e9
    total = count * len(names)
    return {"rate": total / seconds, "broker_us": broker_s / total * 1e6,
            "client_us": statistics.mean(r["cpu_us"] for r in results)}


def measure(nodes, kind, n_queues, total):
    """One round of one row: {mode: figures}."""
    names = [f"scaling.{kind}.{i}" for i in range(n_queues)]
    for number, name in enumerate(names):  # led by the node that its programs connect to
        nodes[number % len(nodes)].declare([name], kind)
    row = {mode: _at_once(nodes, mode, names, total // n_queues, kind == "quorum")
           for mode in ("publish", "consume")}
    nodes[0].delete(names)
    return row


def _medians(rounds):
    return {mode: {key: statistics.median(one[mode][key] for one in rounds)
                   for key in rounds[0][mode]} for mode in rounds[0]}


def run(nodes, args, kinds, title):
    """Measure and print; [{kind, queues, publish, consume}]."""
    rows = [(kind, n_queues) for kind in kinds for n_queues in args.queues]
    rounds = {row: [] for row in rows}
    print(f"\n{title}: {args.count:,} messages of 100 bytes a round, window {WINDOW}, prefetch "
          f"{PREFETCH}, {args.rounds} rounds", flush=True)
    measure(nodes, kinds[0], 1, args.count // 4)  # the first one finds nothing warm
    for _ in range(args.rounds):
        for row in rows:
            rounds[row].append(measure(nodes, *row, args.count))
    print(f"{'queues':<14}{'publish/s':>11}{'broker us':>11}{'client us':>11}"
          f"{'consume/s':>12}{'broker us':>11}{'client us':>11}")
    result = []
    for kind, n_queues in rows:
        row = _medians(rounds[kind, n_queues])
        result.append({"kind": kind, "queues": n_queues, **row})
        print(f"{n_queues} {kind:<12}" + "".join(
            f"{row[mode]['rate']:>{width},.0f}{row[mode]['broker_us']:>11.1f}"
            f"{row[mode]['client_us']:>11.2f}"
            for mode, width in (("publish", 11), ("consume", 12))), flush=True)
    return result
