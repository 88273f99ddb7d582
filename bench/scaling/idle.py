# SPDX-License-Identifier: MIT
"""What a node takes for things that do nothing: queues, and services that are connected."""
import json
import os
import subprocess

import processes
import programs
from programs import Failure


def _grown(before, after, by):
    return {key: (after[key] - before[key]) / by for key in after}


def _print(text, grown):
    print(f"{text:<40}{grown['kib']:>8.1f}{grown['binary_kib']:>10.1f}"
          f"{grown['resident_kib']:>14.1f}"
          f"{grown['processes']:>11.1f}{grown['fds']:>7.2f}", flush=True)


def queues(node, count):
    """Durable queues of each type, without messages and consumers."""
    result = {}
    for kind in ("classic", "quorum"):
        names = [f"idle.{kind}.{i}" for i in range(count)]
        before = node.size()
        node.declare(names, kind)
        result[kind] = _grown(before, node.size(), count)
        _print(f"a queue, of {count:,} {kind} ones", result[kind])
        node.delete(names)
    return result


def services(node, count):
    """Clients that are connected as services are."""
    before, before_s = node.size(), node.cpu_s()
    command = [os.path.join(programs.DIRECTORY, "many_clients"), "connect", "-clients", str(count),
               "-queue", "idle.work"]
    with subprocess.Popen(processes.DIE_WITH_PARENT + command, text=True,
                          env={**os.environ, "GODWIT_BENCH_URL": node.url},
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        line = program.stdout.readline()
        if not line:
            raise Failure("many_clients ended without a result")
        own = json.loads(line)
        connect_ms = (node.cpu_s() - before_s) / count * 1000
        after = node.size()
        totals = node.totals()
        program.stdin.close()
        program.wait(60)
    result = _grown(before, after, count)
    _print(f"a service, of {count:,} that are connected", result)
    result["totals"] = {key: value / count for key, value in totals.items()}
    result["own"] = {key: own[key] / count for key in ("kib", "threads", "fds")}
    result["connect_ms"] = connect_ms
    totals = ", ".join(f"{value:.1f} {key}" for key, value in result["totals"].items())
    print(f"connecting takes {connect_ms:.1f} ms of the node's CPU; each has {totals}; in its own "
          f"process {result['own']['kib']:.0f} KiB, {result['own']['threads']:.1f} threads, "
          f"{result['own']['fds']:.1f} descriptors")
    return result


def run(node, args):
    """Measure and print."""
    print(f"\nidle: what the node grows by\n{'':<40}{'KiB':>8}{'binaries':>10}{'resident KiB':>14}"
          f"{'processes':>11}{'fds':>7}", flush=True)
    found = {"services": services(node, args.services)}  # first: queues leave memory behind
    return {**found, "queues": queues(node, args.idle_queues)}
