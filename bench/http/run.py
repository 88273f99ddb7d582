# SPDX-License-Identifier: MIT
"""script/bench http: accountservice, a bare epoll responder and nginx side by side.

All three answer GET /accounts/10001: the responder with the same bytes as accountservice, nginx
with the same body. Server on core 0, wrk on core 1, one server at a time under load, the rounds
interleaved so that a change of the machine's speed meets all of them. Medians over the rounds.
"""
import argparse
import os
import shutil
import statistics
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "script", "lib"), os.path.join(ROOT, "bench")]

import build  # noqa: E402
import machine  # noqa: E402
import processes  # noqa: E402
from rabbit_node import NodeError, Ports  # noqa: E402
import serving  # noqa: E402
import web_peers  # noqa: E402
from service import ServiceError  # noqa: E402
from serving import LOAD_CORE, SERVER_CORE, Contender, Failure, on_core  # noqa: E402
from system import Layout, System  # noqa: E402

PATH = "/accounts/10001"
TARGETS = {"cpu_ratio": 1.35, "rate_ratio": 0.9, "rss_mib": 8.0, "start_ms": 50.0}


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


def memory_on_all_cores(service, seconds, connections):
    """Resident memory under load with a server thread on each core, as it is run in earnest."""
    service.start().wait_healthy()
    _, largest = serving.load(service.port, seconds, connections, service.pid, PATH)
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
        starts = serving.start_times(account, "/health", 5 if args.quick else 15)
        rss_all = memory_on_all_cores(account, args.seconds, args.connections)
        account.command = on_core(SERVER_CORE, command)
        account.start().wait_healthy()
        answer = serving.raw_answer(account_port, PATH)
        responder = web_peers.start_responder(directory, programs, answer)
        started.append(responder)
        nginx = web_peers.start_nginx(directory, f"return 200 '{answer[1].decode()}';")
        started.append(nginx)
        for service in (responder, nginx):
            if serving.wait_port(service, PATH)[1] != answer[1]:
                raise Failure(f"{service.name} answers another body")
        contenders = [Contender("accountservice", account), Contender("epoll responder", responder),
                      Contender("nginx", nginx)]
        for contender in contenders:
            serving.load(contender.service.port, 1, args.connections, path=PATH)
        for number in range(args.rounds):
            for contender in contenders:
                serving.measure(contender, args.seconds, args.connections, PATH)
            serving.print_rounds(contenders, number, args.rounds)
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
        "results": {c.name: c.medians() for c in contenders},
        "cpu_ratio": account.median("cpu_us") / responder.median("cpu_us"),
        "rate_ratio": account.median("requests_per_s") / nginx.median("requests_per_s"),
        "rss_mib": max(rss_all, *(r["rss_kib"] for r in account.rounds)) / 1024,
        "rss_all_cores_mib": rss_all / 1024,
        "start_ms": statistics.median(starts), "starts_ms": starts,
        "targets": TARGETS,
    }


def print_table(result):
    """For a person."""
    serving.print_results(result["results"])
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
