# SPDX-License-Identifier: MIT
"""An HTTP server on one core and wrk on the other: how both are run, and what is measured.

CPU time is utime + stime of /proc/PID/stat, of all threads.
"""
import dataclasses
import os
import re
import socket
import statistics
import subprocess
import time

from machine import memory_kib
from service import Service

SERVER_CORE, LOAD_CORE = 0, 1
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Something a person must read."""


@dataclasses.dataclass
class Contender:
    """One server that is measured."""

    name: str
    service: Service
    rounds: list = dataclasses.field(default_factory=list)

    def median(self, key):
        """The median of one number over the rounds."""
        return statistics.median(r[key] for r in self.rounds)

    def medians(self):
        """All of them, and the rounds."""
        return {key: self.median(key) for key in self.rounds[0]} | {"each": self.rounds}


def on_core(core, command):
    """The command, kept on one core."""
    return ["taskset", "-c", str(core), *command]


def cpu_seconds(pid):
    """CPU time of a process so far, with all its threads."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def raw_answer(port, path):
    """What a server answers, byte for byte: (head, body)."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                raise OSError(f"port {port} hung up")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        while len(body) < length:
            body += sock.recv(65536)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise Failure(f"port {port} answers {head!r} {body[:500]!r}")
    return head, body


def wait_port(service, path):
    """Wait until a server answers that has no /health; its answer."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return raw_answer(service.port, path)
        except OSError as error:
            if service.exit_code is not None or time.monotonic() > deadline:
                raise Failure(f"{service.name} does not answer: {error}\n{service.output()}") \
                    from error
            time.sleep(0.01)


def milliseconds(text):
    """wrk's "123.00us", "1.20ms" or "1.00s" in ms."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def load(port, seconds, connections, pid=None, path="/", script=None):
    """Run wrk against a port; (its report, the largest resident memory seen in KiB).

    `script` is [file, argument...]: what is asked for, instead of `path`.
    """
    chosen = ["-s", script[0]] if script else []
    command = on_core(LOAD_CORE, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                                  *chosen, f"http://127.0.0.1:{port}{path}",
                                  *(["--", *script[1:]] if script else [])])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as wrk:
        largest = 0
        while True:
            try:
                report, _ = wrk.communicate(timeout=0.1)
                break
            except subprocess.TimeoutExpired:
                largest = max(largest, memory_kib(pid) if pid else 0)
    if wrk.returncode != 0 or "Non-2xx" in report or "Socket errors" in report:
        raise Failure(f"the load on port {port} had errors:\n{report}")
    return report, largest


def measure(contender, seconds, connections, path="/", script=None):
    """One round of one contender."""
    pid = contender.service.pid
    before = cpu_seconds(pid)
    report, largest = load(contender.service.port, seconds, connections, pid, path, script)
    cpu = cpu_seconds(pid) - before
    n_requests = int(re.search(r"(\d+) requests in", report).group(1))
    contender.rounds.append({
        "requests_per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", report).group(1)),
        "p50_ms": milliseconds(re.search(r"(?m)^\s+50%\s+(\S+)", report).group(1)),
        "p99_ms": milliseconds(re.search(r"(?m)^\s+99%\s+(\S+)", report).group(1)),
        "cpu_us": cpu / n_requests * 1e6,
        "rss_kib": largest,
    })


def start_time(service, path):
    """Start it; milliseconds from exec to the first 200.

    It is asked again as soon as an answer is no 200.
    """
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n\r\n".encode()
    begin = time.monotonic()
    service.start()
    answer = b""
    while not answer.startswith(b"HTTP/1.1 200 "):
        if time.monotonic() - begin > 60 or service.exit_code is not None:
            raise Failure(f"{service.name} does not answer {path} with 200:\n{service.output()}")
        try:
            with socket.create_connection(("127.0.0.1", service.port), 5) as sock:
                sock.sendall(request)
                answer = sock.recv(4096)
        except OSError:
            time.sleep(0.0005)
    return (time.monotonic() - begin) * 1000


def start_times(service, path, count):
    """The same `count` times. It is stopped after each."""
    times = []
    for _ in range(count):
        times.append(start_time(service, path))
        if service.stop() != 0:
            raise Failure(f"{service.name} ended with status {service.exit_code}")
    return times


def print_rounds(contenders, number, count):
    """One line for a round that is over."""
    print(f"  round {number + 1} of {count}: " + ", ".join(
        f"{c.name} {c.rounds[-1]['requests_per_s']:,.0f}/s {c.rounds[-1]['cpu_us']:.2f} us"
        for c in contenders), flush=True)


def print_results(results):
    """The table of all contenders, {name: medians}."""
    width = max(17, *(len(name) + 2 for name in results))
    print(f"\n{'':<{width}}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'CPU us/req':>12}"
          f"{'RSS MiB':>9}")
    for name, row in results.items():
        print(f"{name:<{width}}{row['requests_per_s']:>12,.0f}{row['p50_ms']:>9.3f}"
              f"{row['p99_ms']:>9.3f}{row['cpu_us']:>12.2f}{row['rss_kib'] / 1024:>9.2f}")
