# SPDX-License-Identifier: MIT
"""From `git push` and its webhook to the last of 100 clients having the new value.

The clients are those of the library, in one process; by long polls, and by refresh events on the
embedded bus. The server has a mirror of the repository. All run on all cores.
"""
import re
import statistics
import subprocess
import threading
import time

import estate as estates
import processes
import serving
from service import http_request
from serving import LOAD_CORE, SERVER_CORE, Failure, on_core

BOTH = f"{SERVER_CORE},{LOAD_CORE}"
TIMEOUT_S = 30
CALM_S = 1.5  # a client that polls pauses when changes follow one another within a second
WAITING = "godwit_http_waiting"


class Clients:
    """The program config_clients."""

    def __init__(self, program, url, count, bus):
        command = [*processes.DIE_WITH_PARENT, *on_core(BOTH, [program, url, str(count)])]
        self._process = subprocess.Popen(
            command + ([bus] if bus else []), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True)
        self._expect("ready")

    def _expect(self, word):
        timer = threading.Timer(TIMEOUT_S, self._process.kill)
        timer.start()
        line = self._process.stdout.readline().split()
        timer.cancel()
        if not line or line[0] != word:
            raise Failure(f"config_clients says {line} and not '{word}' within {TIMEOUT_S} s")
        return line[1:]

    def wait(self, value):
        """Wait until all have the value; when the first and the last had it, in s."""
        while True:
            found, first_ns, last_ns = self._expect("seen")
            if found == value:
                return int(first_ns) / 1e9, int(last_ns) / 1e9

    def end(self):
        """Ask it to end."""
        self._process.stdin.close()
        if self._process.wait(TIMEOUT_S) != 0:
            raise Failure(f"config_clients ended with status {self._process.returncode}")

    def kill(self):
        """End it at once, if it runs."""
        self._process.kill()
        self._process.wait()


def _wait_calm(server, n_polls):
    """Wait until the clients that poll do so, and have for a while."""
    deadline = time.monotonic() + TIMEOUT_S
    while n_polls:
        _, text = http_request(server.port, "GET", "/metrics")
        found = re.search(rf"(?m)^{WAITING} (\d+)", text)
        if found and int(found.group(1)) == n_polls:
            break
        if time.monotonic() > deadline:
            raise Failure(f"{found and found.group(0)}, wanted {n_polls}")
        time.sleep(0.02)
    time.sleep(CALM_S)


def _one(server, writer, clients, remote, n_polls):
    """One push; where the time went, in ms."""
    _wait_calm(server, n_polls)
    stamp = writer.commit_shared()
    begin = time.monotonic()
    writer.push()
    pushed = time.monotonic()
    estates.post_webhook(server.port, remote, "application.yml")
    first, last = clients.wait(stamp)
    return {"push_ms": (pushed - begin) * 1000, "first_ms": (first - pushed) * 1000,
            "last_ms": (last - pushed) * 1000, "total_ms": (last - begin) * 1000}


def _measure(estate, server, writer, args, bus):
    clients = Clients(args.clients_program, f"http://127.0.0.1:{server.port}", args.clients, bus)
    n_polls = 0 if bus else args.clients
    try:
        _one(server, writer, clients, estate.remote, n_polls)  # the first finds nothing warm
        each = [_one(server, writer, clients, estate.remote, n_polls) for _ in range(args.pushes)]
        clients.end()
    finally:
        clients.kill()
    return {key: statistics.median(one[key] for one in each) for key in each[0]} | {"each": each}


def run(estate, args):
    """Measure; ({way: medians}, figures)."""
    bus = "bus:" + estate.fresh_dir("bus")
    server = estate.configserver("configserver, mirror", estate.remote, bus=bus, cores=BOTH)
    serving.start_time(server, estate.paths[0])
    writer = estate.writer("writer-spread", estate.remote)
    ways = {"refresh events": bus}
    if estates.has_etag(server.port, estate.paths[0]):
        ways["long polls"] = None
    else:
        print("the server gives no ETag: no long polls are measured")
    result = {}
    print(f"\n{'':<17}{'push ms':>10}{'first ms':>10}{'last ms':>10}{'in all ms':>11}"
          f"{'worst ms':>10}")
    for name, url in ways.items():
        row = result[name] = _measure(estate, server, writer, args, url)
        worst = max(one["total_ms"] for one in row["each"])
        print(f"{name:<17}{row['push_ms']:>10.0f}{row['first_ms']:>10.0f}{row['last_ms']:>10.0f}"
              f"{row['total_ms']:>11.0f}{worst:>10.0f}", flush=True)
    server.stop()
    return result, [(f"from git push to the last of {args.clients} clients, {name}",
                     row["total_ms"], "ms", "<", 500) for name, row in result.items()]
