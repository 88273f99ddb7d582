# SPDX-License-Identifier: MIT
"""script/bench bus: Godwit's embedded bus beside NATS JetStream, Redis streams and RabbitMQ, and
beside a bare LMDB as the limit.

Sections: full speed (speed.py), latency and idle (latency.py), a deep queue (depth.py), reads of
the VIP account by the whole system on the bus (bench/messaging/vip_reads.py). All servers run all
the time and share the machine's cores with the load: what counts is the ratio within one run, and
CPU time a message, that of the server included.
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
from rabbit_node import NodeError, Ports, RabbitNode  # noqa: E402
from service import ServiceError  # noqa: E402
from system import Layout, System  # noqa: E402

import depth  # noqa: E402
import latency  # noqa: E402
import peers  # noqa: E402
import programs  # noqa: E402
import servers  # noqa: E402
import speed  # noqa: E402
import vip_reads  # noqa: E402
from programs import Failure  # noqa: E402

SECTIONS = ("speed", "latency", "idle", "depth", "vip")
PEERS = ("jetstream", "redis", "rabbitmq", "lmdb")
TARGETS = ("godwit_load", "nats_load", "redis_load", "librabbitmq_loop", "lmdb_append",
           *vip_reads.PROGRAMS)
VIP_GOAL = vip_reads.Goal(start_rate=12000, rate_max=200000, sustained=60000)
# What --quick changes; each can be given by itself as well.
SIZES = {  # option: (quick, full, help)
    "rounds": (2, 7, "of full speed"),
    "millis": (200, 1000, "that a round of full speed takes with each peer, about"),
    "pace": (5000, 5000, "messages/s of the latency"),
    "pace_seconds": (2, 5, "of the latency"),
    "latency_rounds": (1, 5, "of the latency"),
    "idle_seconds": (1, 5, "that two processes wait"),
    "depth": (100000, 10000000, "most messages that wait in a queue; also a tenth of it, and 0"),
    "depth_count": (20000, 200000, "messages that are published and consumed at a depth"),
    "depth_rounds": (1, 3, "at each depth"),
    **vip_reads.SIZES,
}


def parse(arguments):
    """The options, as script/bench lists the main ones."""
    parser = argparse.ArgumentParser(prog="script/bench bus")
    command.add_sizes(parser, SIZES)
    parser.add_argument("--only", type=command.choice(SECTIONS), default=list(SECTIONS))
    parser.add_argument("--peers", type=command.choice(PEERS), default=list(PEERS))
    args = parser.parse_args(arguments)
    command.settle_sizes(args, SIZES)
    return args


class Everybody:
    """Godwit and the peers with their servers, as far as they were asked for."""

    def __init__(self, directory):
        self._directory = directory
        self._servers = []
        self.peers = [peers.Godwit(directory)]

    def start(self, names):
        """Start the servers."""
        if "jetstream" in names:
            self.peers.append(peers.JetStream(self._add(servers.nats(self._directory))))
        if "redis" in names:
            self.peers.append(peers.Redis(self._add(servers.redis(self._directory, "everysec")),
                                          self._add(servers.redis(self._directory, "always"))))
        if "rabbitmq" in names:
            node = RabbitNode(os.path.join(self._directory, "rabbitmq"), Ports.free())
            node.start(die_with_parent=True)
            self.peers.append(peers.RabbitMQ(self._add(node)))
        if "lmdb" in names:
            self.peers.append(peers.Lmdb(self._directory))

    def _add(self, server):
        self._servers.append(server)
        return server

    def stop(self):
        """End the servers; harmless when they have ended."""
        for server in self._servers:
            server.stop()


def run_vip(directory, args):
    """The system, which is on the bus since it has no ports of RabbitMQ."""
    account, config, vip = processes.free_ports(3)
    system = System(os.path.join(directory, "system"),
                    os.path.join(ROOT, "build", programs.PRESET, "bin"),
                    Layout(account, config, (vip,), None, False))
    try:
        system.make_files(fresh=True)
        return vip_reads.run(system, None, VIP_GOAL, args)
    finally:
        system.stop()


def run_sections(args, everybody, directory, result):
    """Measure section by section into `result`."""
    figures = []
    sections = {
        "speed": lambda: speed.run(everybody.peers, args),
        "latency": lambda: latency.run_latency(everybody.peers, args),
        "idle": lambda: latency.run_idle(everybody.peers, args),
        "depth": lambda: depth.run(everybody.peers, args),
        "vip": lambda: run_vip(directory, args),
    }
    for name in SECTIONS:
        if name not in args.only:
            continue
        if name == "vip":
            everybody.stop()  # what they still write or tidy up is no part of this
        result[name], found = sections[name]()
        command.print_figures(found)
        figures.extend(found)
    result["figures"] = command.as_results(figures)
    if len(args.only) > 1:
        print("\nall figures:")
        command.print_figures(figures)


def main(arguments):
    """Build, measure, report."""
    args = parse(arguments)
    # Not in /tmp, which is memory on some machines: everybody writes to a disk here.
    os.makedirs(os.path.join(ROOT, "build"), exist_ok=True)
    busy = machine.load_now()
    print("building the preset release", flush=True)
    programs.build_all(os.path.join(ROOT, "build", "bench-build.log"), TARGETS)
    directory = tempfile.mkdtemp(prefix="bench-", dir=os.path.join(ROOT, "build"))
    everybody = Everybody(directory)
    result = {**machine.about("script/bench bus", busy), "options": vars(args)}
    try:
        if set(args.only) != {"vip"}:
            everybody.start(args.peers)
        run_sections(args, everybody, directory, result)
    finally:
        everybody.stop()
        shutil.rmtree(directory, ignore_errors=True)
    machine.write_results("bus", result)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (Failure, programs.Cannot, ServiceError, NodeError, build.BuildError) as error:
        sys.exit(f"script/bench bus: {error}")
