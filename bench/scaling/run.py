# SPDX-License-Identifier: MIT
"""script/bench scaling: the figures that docs/scaling.md computes with.

Sections: what a node takes for idle queues and connected services (idle), confirmed messages
through one queue and several (queues), the same on a cluster of three nodes (cluster), how
consumers share a queue (sharing), accountservices behind HAProxy (balancing). CPU time a unit and
ratios are what counts: broker, clients and load share the machine's cores.
"""
import argparse
import os
import shutil
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [os.path.join(ROOT, "script", "lib"), os.path.join(ROOT, "bench"),
                os.path.join(ROOT, "bench", "messaging")]

import build  # noqa: E402
import command  # noqa: E402
import machine  # noqa: E402
import processes  # noqa: E402
import programs  # noqa: E402
from rabbit_cluster import RabbitCluster  # noqa: E402
from rabbit_node import NodeError, Ports, RabbitNode  # noqa: E402
from service import ServiceError  # noqa: E402
import serving  # noqa: E402
from system import Layout, System  # noqa: E402

import balancing  # noqa: E402
import idle  # noqa: E402
import node as nodes  # noqa: E402
import queues  # noqa: E402
import sharing  # noqa: E402

SECTIONS = ("idle", "queues", "cluster", "sharing", "balancing")
TARGETS = ("godwit_load", "many_clients", "accountservice", "configserver")
SIZES = {  # option: (quick, full, help)
    "rounds": (1, 5, "of the queues"),
    "count": (30000, 80000, "messages of a round"),
    "idle_queues": (1000, 1000, "of each type"),
    "services": (100, 100, "that are connected"),
    "each": (500, 2000, "messages of 1 ms for each consumer"),
    "seconds": (2, 5, "of reads"),
    "connections": (64, 64, "of the reads"),
}


def parse(arguments):
    """The options, as script/bench lists the main ones."""
    parser = argparse.ArgumentParser(prog="script/bench scaling")
    command.add_sizes(parser, SIZES)
    parser.add_argument("--only", type=command.choice(SECTIONS), default=list(SECTIONS))
    args = parser.parse_args(arguments)
    command.settle_sizes(args, SIZES)
    args.queues = args.consumers = [1, 2, 4, 8]
    args.instances = [1, 2, 4]
    return args


def with_node(directory, args, result):
    """The sections that need a broker."""
    rabbit = RabbitNode(os.path.join(directory, "rabbitmq"), Ports.free())
    try:
        rabbit.start(die_with_parent=True)
        node = nodes.Node(rabbit)
        if "idle" in args.only:
            result["idle"] = idle.run(node, args)
        if "queues" in args.only:
            result["queues"] = queues.run([node], args, ("classic", "quorum"), "queues, one node")
        if "sharing" in args.only:
            result["sharing"] = sharing.run(node, args)
    finally:
        rabbit.stop()


def with_cluster(directory, args, result):
    """Three nodes, which share this machine: what counts is their CPU time together."""
    cluster = RabbitCluster(os.path.join(directory, "cluster"))
    try:
        cluster.start(die_with_parent=True)
        result["cluster"] = queues.run([nodes.Node(one) for one in cluster.nodes], args,
                                       ("classic", "quorum"), "queues, three nodes")
    finally:
        cluster.stop()


def main(arguments):
    """Build, measure, report."""
    args = parse(arguments)
    # Not in /tmp, which is memory on some machines: the broker waits for a disk.
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    busy = machine.load_now()
    print("building the preset release", flush=True)
    build.build(programs.PRESET, os.path.join(ROOT, "build", "bench-build.log"), TARGETS)
    directory = tempfile.mkdtemp(prefix="bench-", dir=os.path.join(ROOT, "build"))
    result = {**machine.about("script/bench scaling", busy), "options": vars(args)}
    try:
        if set(args.only) & {"idle", "queues", "sharing"}:
            with_node(directory, args, result)
        if "cluster" in args.only:
            with_cluster(directory, args, result)
        if "balancing" in args.only:
            account, config = processes.free_ports(2)
            result["balancing"] = balancing.run(System(
                os.path.join(directory, "system"), os.path.join(ROOT, "build", "release", "bin"),
                Layout(account, config, (), None, False)), args)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    machine.write_results("scaling", result)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (programs.Failure, programs.Cannot, serving.Failure, ServiceError, NodeError,
            build.BuildError) as problem:
        sys.exit(f"script/bench scaling: {problem}")
