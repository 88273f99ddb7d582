# SPDX-License-Identifier: MIT
"""script/bench http: accountservice, a bare epoll responder and nginx side by side.

All three answer GET /accounts/10001: the responder with the same bytes as accountservice, nginx
with the same body. Server on core 0, wrk on core 1, one server at a time under load, the rounds
interleaved so that a change of the machine's speed meets all of them. Medians over the rounds. CPU
time is utime + stime of /proc/PID/stat, of all threads.
"""
import argparse
import dataclasses
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "script", "lib"), os.path.join(ROOT, "bench")]

import build  # noqa: E402
import machine  # noqa: E402
import processes  # noqa: E402
from rabbit_node import NodeError, Ports  # noqa: E402
from service import Service, ServiceError  # noqa: E402
from system import Layout, System  # noqa: E402
from machine import memory_kib  # noqa: E402

SERVER_CORE, LOAD_CORE = 0, 1
PATH = "/accounts/10001"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
TARGETS = {"cpu_ratio": 1.35, "rate_ratio": 0.9, "rss_mib": 8.0, "start_ms": 50.0}


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


def parse(arguments):
    """The options, as script/bench lists them."""
    parser = argparse.ArgumentParser(prog="script/bench http")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--connections", type=int, default=128)
    args = parser.parse_args(arguments)
    args.rounds = args.rounds or (3 if args.quick else 7)
    args.seconds = args.seconds or (2 if args.quick else 5)
    return args


def on_core(core, command):
    """The command, kept on one core."""
    return ["taskset", "-c", str(core), *command]


def cpu_seconds(pid):
    """CPU time of a process so far, with all its threads."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def raw_answer(port):
    """What a server answers, byte for byte."""
    with socket.create_connection(("127.0.0.1", port), 10) as sock:
        sock.sendall(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += sock.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head).group(1))
        while len(body) < length:
            body += sock.recv(65536)
    if not head.startswith(b"HTTP/1.1 200 "):
        raise Failure(f"port {port} answers {head!r}")
    return head, body


def wait_port(service):
    """Wait until the contender answers; they have no /health."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return raw_answer(service.port)
        except OSError as error:
            if service.exit_code is not None or time.monotonic() > deadline:
                raise Failure(f"{service.name} does not answer: {error}\n{service.output()}") \
                    from error
            time.sleep(0.01)


def start_responder(directory, programs, answer):
    """The bare epoll responder, with accountservice's answer."""
    answer_file = os.path.join(directory, "answer")
    with open(answer_file, "wb") as out:
        out.write(b"\r\n\r\n".join(answer))
    port = processes.free_ports(1)[0]
    program = os.path.join(programs, "..", "bench", "epoll_responder")
    return Service("epoll responder", on_core(SERVER_CORE, [program, str(port), answer_file]), port,
                   cwd=directory, env=dict(os.environ), log_path=directory + "/responder.log")


def start_nginx(directory, body):
    """nginx with a configuration and directories of its own."""
    port = processes.free_ports(1)[0]
    own = os.path.join(directory, "nginx")
    os.makedirs(own)
    temporary = "\n".join(f"    {kind}_temp_path {own}/{kind};" for kind in
                          ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = os.path.join(own, "nginx.conf")
    with open(config, "w", encoding="ascii") as out:
        out.write(f"""daemon off;
master_process off;
worker_processes 1;
pid {own}/pid;
error_log {own}/error.log;
events {{ worker_connections 1024; }}
http {{
{temporary}
    access_log off;
    keepalive_requests 1000000000;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200 '{body.decode()}'; }}
    }}
}}
""")
    command = on_core(SERVER_CORE, ["/usr/sbin/nginx", "-p", own, "-c", config,
                                    "-e", own + "/error.log"])
    return Service("nginx", command, port, cwd=own, env=dict(os.environ),
                   log_path=directory + "/nginx.log")


def milliseconds(text):
    """wrk's "123.00us", "1.20ms" or "1.00s" in ms."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def load(port, seconds, connections, pid=None):
    """Run wrk against a port; (its report, the largest resident memory seen in KiB)."""
    command = on_core(LOAD_CORE, ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
                                  f"http://127.0.0.1:{port}{PATH}"])
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


def measure(contender, seconds, connections):
    """One round of one contender."""
    pid = contender.service.pid
    before = cpu_seconds(pid)
    report, largest = load(contender.service.port, seconds, connections, pid)
    cpu = cpu_seconds(pid) - before
    n_requests = int(re.search(r"(\d+) requests in", report).group(1))
    contender.rounds.append({
        "requests_per_s": float(re.search(r"Requests/sec:\s+([\d.]+)", report).group(1)),
        "p50_ms": milliseconds(re.search(r"(?m)^\s+50%\s+(\S+)", report).group(1)),
        "p99_ms": milliseconds(re.search(r"(?m)^\s+99%\s+(\S+)", report).group(1)),
        "cpu_us": cpu / n_requests * 1e6,
        "rss_kib": largest,
    })


def start_times(service, count):
    """Milliseconds from exec to the first 200 of /health, `count` times. It is stopped after each.

    The program runs on all cores here, and is asked again as soon as an answer is no 200.
    """
    request = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n\r\n".encode()
    times = []
    for _ in range(count):
        begin = time.monotonic()
        service.start()
        answer = b""
        while not answer.startswith(b"HTTP/1.1 200 "):
            if time.monotonic() - begin > 20 or service.exit_code is not None:
                raise Failure(f"accountservice does not become healthy:\n{service.output()}")
            try:
                with socket.create_connection(("127.0.0.1", service.port), 5) as sock:
                    sock.sendall(request)
                    answer = sock.recv(4096)
            except OSError:
                time.sleep(0.0005)
        times.append((time.monotonic() - begin) * 1000)
        if service.stop() != 0:
            raise Failure(f"accountservice ended with status {service.exit_code}")
    return times


def memory_on_all_cores(service, seconds, connections):
    """Resident memory under load with a server thread on each core, as it is run in earnest."""
    service.start().wait_healthy()
    _, largest = load(service.port, seconds, connections, service.pid)
    service.stop()
    return largest


def run_all(args, directory, programs, load_before):
    """Everything that is measured, as a dictionary."""
    account_port, config_port = processes.free_ports(2)
    system = System(directory, programs, Layout(account_port, config_port, (), Ports.free(), False))
    system.make_files(fresh=True)
    started = []
    try:
        system.rabbit.start(die_with_parent=True)
        system.config.start().wait_healthy()
        account = system.account
        command = account.command
        cores = f"{SERVER_CORE},{LOAD_CORE}"
        account.command = ["taskset", "-c", cores, *command]
        starts = start_times(account, 5 if args.quick else 15)
        rss_all = memory_on_all_cores(account, args.seconds, args.connections)
        account.command = on_core(SERVER_CORE, command)
        account.start().wait_healthy()
        answer = raw_answer(account_port)
        responder = start_responder(directory, programs, answer)
        nginx = start_nginx(directory, answer[1])
        for service in (responder, nginx):
            started.append(service.start())
            if wait_port(service)[1] != answer[1]:
                raise Failure(f"{service.name} answers another body")
        contenders = [Contender("accountservice", account), Contender("epoll responder", responder),
                      Contender("nginx", nginx)]
        for contender in contenders:
            load(contender.service.port, 1, args.connections)
        for number in range(args.rounds):
            for contender in contenders:
                measure(contender, args.seconds, args.connections)
            print(f"  round {number + 1} of {args.rounds}: " + ", ".join(
                f"{c.name} {c.rounds[-1]['requests_per_s']:,.0f}/s {c.rounds[-1]['cpu_us']:.2f} us"
                for c in contenders), flush=True)
    finally:
        for service in started:
            service.kill()
        system.stop()
    return summary(args, contenders, starts, rss_all, load_before)


def summary(args, contenders, starts, rss_all, load_before):
    """What is written to the file."""
    account, responder, nginx = contenders
    return {
        **machine.about("script/bench http", load_before),
        "rounds": args.rounds, "seconds": args.seconds, "connections": args.connections,
        "results": {c.name: {key: c.median(key) for key in c.rounds[0]} | {"each": c.rounds}
                    for c in contenders},
        "cpu_ratio": account.median("cpu_us") / responder.median("cpu_us"),
        "rate_ratio": account.median("requests_per_s") / nginx.median("requests_per_s"),
        "rss_mib": max(rss_all, *(r["rss_kib"] for r in account.rounds)) / 1024,
        "rss_all_cores_mib": rss_all / 1024,
        "start_ms": statistics.median(starts), "starts_ms": starts,
        "targets": TARGETS,
    }


def print_table(result):
    """For a person."""
    print(f"\n{'':<17}{'requests/s':>12}{'p50 ms':>9}{'p99 ms':>9}{'CPU us/req':>12}{'RSS MiB':>9}")
    for name, row in result["results"].items():
        print(f"{name:<17}{row['requests_per_s']:>12,.0f}{row['p50_ms']:>9.3f}{row['p99_ms']:>9.3f}"
              f"{row['cpu_us']:>12.2f}{row['rss_kib'] / 1024:>9.2f}")
    lines = [
        ("CPU a request against the epoll responder", result["cpu_ratio"], "x", "<=", "cpu_ratio"),
        ("requests/s against nginx", result["rate_ratio"], "x", ">=", "rate_ratio"),
        ("resident memory under load", result["rss_mib"], " MiB", "<=", "rss_mib"),
        ("from exec to healthy", result["start_ms"], " ms", "<=", "start_ms"),
    ]
    print()
    for text, value, unit, sign, key in lines:
        target = TARGETS[key]
        is_met = value <= target if sign == "<=" else value >= target
        print(f"{text:<44}{value:>8.2f}{unit:<5} (target {sign} {target:g}): "
              f"{'met' if is_met else 'NOT MET'}")


def main(arguments):
    """Build, measure, report."""
    args = parse(arguments)
    if len(os.sched_getaffinity(0)) < 2:
        raise Failure("it takes two cores: one for the server, one for the load")
    programs = os.path.join(ROOT, "build", "release", "bin")
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    busy = machine.load_now()
    print("building the preset release", flush=True)
    build.build("release", os.path.join(ROOT, "build", "bench-build.log"),
                ["accountservice", "configserver", "epoll_responder"])
    # The broker and all else stay beside the load; only the measured server is moved to its core.
    os.sched_setaffinity(0, {LOAD_CORE})
    directory = tempfile.mkdtemp(prefix="godwit-bench-")
    try:
        result = run_all(args, directory, programs, busy)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print_table(result)
    machine.write_results("http", result)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Failure, ServiceError, NodeError, build.BuildError) as error:
        sys.exit(f"script/bench http: {error}")
