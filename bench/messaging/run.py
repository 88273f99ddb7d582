# SPDX-License-Identifier: MIT
"""script/bench messaging: Godwit at each level of its outbox beside other clients, on one RabbitMQ.

Four sections: full speed and latency (throughput.py), a backlog while the broker is away
(backlog.py), reads of the VIP account by the whole system (vip_reads.py). Everything, the broker
too, runs on all cores: what counts is the ratio within one run, and CPU time a message. It is that
of the client's process, user and system, from getrusage().
"""
import argparse
import os
import shutil
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "script", "lib"), os.path.join(ROOT, "bench")]

import build  # noqa: E402
import command  # noqa: E402
import machine  # noqa: E402
import processes  # noqa: E402
from rabbit_node import NodeError, Ports  # noqa: E402
from service import ServiceError  # noqa: E402
from system import Layout, System  # noqa: E402

import backlog  # noqa: E402
import programs  # noqa: E402
import throughput  # noqa: E402
import vip_reads  # noqa: E402
from programs import Failure  # noqa: E402

LEVELS = ("memory", "process", "disk")
TARGETS = ("librabbitmq_loop", "godwit_load", *vip_reads.PROGRAMS)
SECTIONS = ("speed", "latency", "backlog", "vip")
VIP_GOAL = vip_reads.Goal(start_rate=4000, rate_max=60000, sustained=20000)
# What --quick changes; each can be given by itself as well.
SIZES = {  # option: (quick, full, help)
    "rounds": (3, 7, "of full speed"),
    "count": (30000, 80000, "messages of a round of full speed"),
    "pace": (5000, 5000, "messages/s of the latency"),
    "pace_seconds": (2, 5, "of the latency"),
    "latency_rounds": (1, 3, "of the latency"),
    "backlog": (100000, 1000000, "messages kept while the broker is away"),
    **vip_reads.SIZES,
}


def parse(arguments):
    """The options, as script/bench lists the main ones."""
    parser = argparse.ArgumentParser(prog="script/bench messaging")
    command.add_sizes(parser, SIZES)
    parser.add_argument("--only", type=command.choice(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--levels", type=command.choice(LEVELS), default=list(LEVELS))
    parser.add_argument("--backlog-levels", type=command.choice(LEVELS), default=None)
    args = parser.parse_args(arguments)
    command.settle_sizes(args, SIZES)
    if args.backlog_levels is None:  # what is in memory only is not meant to hold so many
        args.backlog_levels = ["process"] if args.quick else ["process", "disk"]
    return args


def run_sections(args, directory, system, result):
    """Measure section by section into `result`."""
    broker = programs.Broker(system.rabbit)
    clients = programs.clients(args.levels)
    figures = []

    def add(found):
        command.print_figures(found)
        figures.extend(found)

    if "speed" in args.only:
        add(throughput.run_speed(clients, broker, directory, args))
    if "latency" in args.only:
        add(throughput.run_latency(clients, broker, directory, args))
    result["clients"] = {c.name: {"missing": c.missing} if c.missing else
                         {**c.medians(), "each": c.rounds} for c in clients}
    if "backlog" in args.only:
        rates = {c.level: c.median("publish", "rate") for c in clients}
        result["backlog"], found = backlog.run(broker, directory, args, rates)
        add(found)
    if "vip" in args.only:
        result["vip_reads"], found = vip_reads.run(
            system, lambda: broker.depth(vip_reads.QUEUE), VIP_GOAL, args)
        add(found)
    result["figures"] = command.as_results(figures)


def main(arguments):
    """Build, measure, report."""
    args = parse(arguments)
    # Not in /tmp, which is memory on some machines: broker and outbox wait for a disk.
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    busy = machine.load_now()
    print("building the preset release", flush=True)
    programs.build_all(os.path.join(ROOT, "build", "bench-build.log"), TARGETS, with_go=True)
    directory = tempfile.mkdtemp(prefix="bench-", dir=os.path.join(ROOT, "build"))
    account, config, vip = processes.free_ports(3)
    system = System(directory, os.path.join(ROOT, "build", programs.PRESET, "bin"),
                    Layout(account, config, (vip,), Ports.free(), False))
    result = {**machine.about("script/bench messaging", busy), "options": vars(args)}
    try:
        system.make_files(fresh=True)
        system.rabbit.start(die_with_parent=True)
        run_sections(args, directory, system, result)
    finally:
        system.stop()
        shutil.rmtree(directory, ignore_errors=True)
    machine.write_results("messaging", result)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Failure, programs.Cannot, ServiceError, NodeError, build.BuildError) as error:
        sys.exit(f"script/bench messaging: {error}")
