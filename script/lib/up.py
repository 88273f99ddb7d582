# SPDX-License-Identifier: MIT
"""script/up: the system on this machine until a signal, or once through the main job.

The command line comes checked from script/up, which holds the help text.
"""
import argparse
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time

import build
import processes
import walk
from rabbit_node import NodeError
from service import ServiceError
from system import PROGRAMS, ROOT, Clock, Layout, System

COLOURS = (36, 33, 32, 35, 34, 31)  # of the terminal, one a service


class Failure(Exception):
    """Something a person must read; ends script/up with status 1."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM."""


def on_signal(number, _frame):
    """The first signal stops in order; the next one, while stopping, ends all at once."""
    raise Interrupted(number)


class LogPrinter:
    """Prints the services' lines, each marked with its service, once it is switched on."""

    def __init__(self):
        self.on = False
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()
        self._names = []

    def __call__(self, service, line):
        if not self.on:
            return
        with self._lock:
            if service.name not in self._names:
                self._names.append(service.name)
            mark = f"{service.name:<14} |"
            if self._colour:
                code = COLOURS[self._names.index(service.name) % len(COLOURS)]
                mark = f"\033[{code}m{mark}\033[0m"
            # A log line must not be able to drive the terminal.
            text = "".join(c if c.isprintable() or c == "\t" else "?" for c in line)
            print(f"{mark} {text}", flush=True)


def parse(arguments):
    """The options, as script/up passes them."""
    parser = argparse.ArgumentParser(prog="script/up")
    parser.add_argument("--vip", type=int, default=2)
    parser.add_argument("--port-base", type=int)
    parser.add_argument("--run-dir", default=os.path.join(ROOT, "run"))
    parser.add_argument("--once", action="store_true")
    return parser.parse_args(arguments)


def lock(directory):
    """Make sure to be the only one here. The lock goes with this process, however it ends."""
    os.makedirs(directory, exist_ok=True)
    held = open(os.path.join(directory, "up.lock"), "a+", encoding="ascii")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.seek(0)
        raise Failure(f"script/up already runs with {directory} (pid {held.read().strip()}); "
                      "end it with Ctrl-C, or choose another --run-dir and --port-base") from None
    held.truncate(0)
    held.write(f"{os.getpid()}\n")
    held.flush()
    return held


def check_ports(layout):
    """Fail when a port is taken, naming each and its owner."""
    taken = [(port, purpose, owner) for port, purpose in layout.purposes()
             if (owner := processes.port_owner(port))]
    if taken:
        lines = "\n".join(f"  {port:5} for {purpose}: taken by {owner}"
                          for port, purpose, owner in taken)
        raise Failure(f"these ports are needed and taken; nothing was started:\n{lines}\n"
                      "End what holds them, or move all ports with --port-base N.")


def shortest(path):
    """The path as seen from here, where that is shorter."""
    return min(path, os.path.relpath(path), key=len)


def print_things_to_try(system):
    """What a person does next."""
    layout, config = system.layout, shortest(system.path("config"))
    print(f"""
Try, in another terminal:
  curl http://127.0.0.1:{layout.account}/accounts/10000
      reads a VIP account: one of the vipservices prints "Got a message"
  curl http://127.0.0.1:{layout.vips[0]}/vips/10000
      how often it was read, the same from every vipservice
  http://127.0.0.1:{layout.rabbit.management}/#/queues   (guest, guest)
      the queue between them, in RabbitMQ's management pages
  sed -i '/^vip_accounts/s/10000/10001/' {config}/accountservice-test.yml
  git -C {config} commit -qam 'Another VIP'
  curl -H 'Content-Type: application/json' -d '{{"path":["accountservice-test.yml"]}}' \\
      http://127.0.0.1:{layout.config}/monitor
      makes 10001 the VIP account, without a restart

Ctrl-C stops everything. The logs are also in {shortest(system.path("logs"))}.
""", flush=True)


def watch(system):
    """Until a signal: say when a program ends on its own; the others run on."""
    reported = set()
    while True:
        time.sleep(0.2)  # a signal ends it at once
        for service in system.services:
            if service.exit_code is not None and service.name not in reported:
                reported.add(service.name)
                print(f"script/up: {service.name} ended with status {service.exit_code}; "
                      "the others run on", flush=True)
        if len(reported) == len(system.services):
            raise Failure("all services have ended")


def stop(system, progress):
    """Stop in order; a signal meanwhile ends everything at once."""
    try:
        return system.stop(progress)
    except Interrupted:
        progress("ending everything at once")
        system.kill()
        return {"script/up": "was interrupted while stopping"}


def make_ready(args, system, progress):
    """All that comes before the first process is started."""
    names = system.end_leftovers()
    if names:
        progress(f"ended what a killed run had left: {', '.join(names)}")
    check_ports(system.layout)
    system.make_files(fresh=args.once)
    if "GODWIT_BIN" not in os.environ:
        build.build("release", system.path("logs", "build.log"), PROGRAMS)
        progress("the release programs are built")


def run(args, system, printer, progress):
    """Start, do the job or wait, stop. Returns whether all went well."""
    ok = False
    try:
        system.start(progress)
        if args.once:
            walk.walk(system, progress)
        else:
            print_things_to_try(system)
            printer.on = True
            watch(system)
        ok = True
    except Interrupted:
        printer.on = False
        progress("stopping")
        ok = not args.once
    finally:
        bad = stop(system, progress)
    return ok and not bad


def main(arguments):
    """script/up. Returns the exit status."""
    args = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    clock = Clock()
    printer = LogPrinter()

    def progress(text):
        print(f"{clock}  {text}", flush=True)

    directory = os.path.abspath(args.run_dir)
    if args.once:
        directory = os.path.join(directory, "once")
    try:
        with lock(directory):
            system = System(directory, build.programs_dir(), Layout.at(args.port_base, args.vip),
                            printer)
            make_ready(args, system, progress)
            return 0 if run(args, system, printer, progress) else 1
    except Interrupted:
        return 130
    except (Failure, NodeError, ServiceError, build.BuildError, walk.WalkError, OSError,
            subprocess.CalledProcessError) as error:
        print(f"script/up: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
