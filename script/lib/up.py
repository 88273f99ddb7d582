# SPDX-License-Identifier: MIT
"""script/up: the system on this machine until a signal, or once through the main job.

The command line comes checked from script/up, which holds the help text.
"""
import argparse
import fcntl
import os
import re
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
from system import (ACCOUNT_FILE, BROKERS, PROGRAMS, ROOT, VIP_KEY, Clock, Layout, System,
                    vip_accounts)

COLOURS = (36, 33, 32, 35, 34, 31)  # of the terminal, one a service


class Failure(Exception):
    """Something a person must read; ends script/up with status 1."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM."""


def on_signal(number, _frame):
    """The first signal stops in order; the next one, while stopping, ends all at once."""
    raise Interrupted(number)


class Printer:
    """Prints whole lines: script/up's own, and the services', once those are switched on."""

    def __init__(self):
        self.on = False
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()
        self._names = []

    def say(self, text):
        """A line of our own. A terminal that has gone must not keep us from stopping in order."""
        with self._lock:
            try:
                print(text, flush=True)
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def __call__(self, service, line):
        """A line of a service, marked with its name."""
        if not self.on:
            return
        mark = f"{service.name:<14} |"
        if self._colour:
            mark = f"\033[{self._colour_of(service.name)}m{mark}\033[0m"
        # A log line must not be able to drive the terminal.
        text = "".join(c if c.isprintable() or c == "\t" else "?" for c in line)
        self.say(f"{mark} {text}")

    def _colour_of(self, name):
        with self._lock:
            if name not in self._names:
                self._names.append(name)
            return COLOURS[self._names.index(name) % len(COLOURS)]


def parse(arguments):
    """The options, as script/up passes them."""
    parser = argparse.ArgumentParser(prog="script/up")
    parser.add_argument("--broker", choices=BROKERS, default="bus")
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


def next_vip(vips):
    """An account that is no VIP yet."""
    return next(a for a in map(str, range(10000, 10100)) if a not in vips[:99])


def change_of_vip(path, account):
    """How a person makes the account the VIP one: a command, if the list is on one line there."""
    wanted = f'{VIP_KEY}: ["{account}"]'
    try:
        with open(path, encoding="utf-8") as file:
            lists = re.findall(rf"^{VIP_KEY}:\s*\[.*\]\s*$", file.read(), re.M)
    except OSError:
        lists = []
    if len(lists) == 1:
        return f"sed -i 's/^{VIP_KEY}:.*/{wanted}/' {shortest(path)}"
    return f"edit {shortest(path)}: {wanted}"


def look_between(system):
    """How a person sees what is between the services."""
    if system.rabbit:
        return f"""http://127.0.0.1:{system.layout.rabbit.management}/#/queues   (guest, guest)
      the queue between them, in RabbitMQ's management pages"""
    godwit = shortest(os.path.join(build.programs_dir(), "godwit"))
    return f"""{godwit} bus list {shortest(system.path("bus"))}
      the queue between them: the embedded bus is files in that directory"""


def things_to_try(system):
    """What a person does next, with the configuration that is in use: it survives a run."""
    layout, config = system.layout, shortest(system.path("config"))
    vips = vip_accounts(system)
    vip, other = (vips or ["10000"])[0], next_vip(vips)
    what = ('reads a VIP account: one of the vipservices prints "Got a message"' if vips else
            "reads an account; none is VIP in the configuration, so nobody is told")
    return f"""
Try, in another terminal:
  curl http://127.0.0.1:{layout.account}/accounts/{vip}
      {what}
  curl http://127.0.0.1:{layout.vips[0]}/vips/{vip}
      how often it was read, the same from every vipservice
  {look_between(system)}
  {change_of_vip(system.path("config", ACCOUNT_FILE), other)}
  git -C {config} commit -qam 'Another VIP'
  curl -H 'Content-Type: application/json' -d '{{"path":["{ACCOUNT_FILE}"]}}' \\
      http://127.0.0.1:{layout.config}/monitor
      makes {other} the VIP account, without a restart

Ctrl-C stops everything. The logs are also in {shortest(system.path("logs"))}.
"""


def rabbit_end(system):
    """What to say of a RabbitMQ that has ended on its own."""
    directory = shortest(system.rabbit.directory)
    return (f"script/up: RabbitMQ ended with status {system.rabbit.exit_code}; its logs are in "
            f"{os.path.join(directory, 'log')}. The services run on and wait for it. "
            "To start it again:\n"
            f"  {shortest(os.path.join(ROOT, 'script', 'rabbitmq'))} start --dir {directory}")


def watch(system, say):
    """Until a signal: say when RabbitMQ or a program ends on its own; the others run on."""
    reported = set()
    while True:
        time.sleep(0.2)  # a signal ends it at once
        for service in system.services:
            if service.exit_code is not None and service.name not in reported:
                reported.add(service.name)
                say(f"script/up: {service.name} ended with status {service.exit_code}; "
                    "the others run on")
        if system.rabbit and system.rabbit.exit_code is not None and system.rabbit not in reported:
            reported.add(system.rabbit)
            say(rabbit_end(system))
        if reported.issuperset(service.name for service in system.services):
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
        if not system.rabbit:
            progress(f"messages go over the embedded bus in {shortest(system.path('bus'))}")
        system.start(progress)
        if args.once:
            walk.walk(system, progress)
        else:
            printer.say(things_to_try(system))
            printer.on = True
            watch(system, printer.say)
        ok = True
    except Interrupted:
        printer.on = not args.once  # it may have come early
        progress("stopping")
        ok = not args.once
    finally:
        bad = stop(system, progress)
        for service in system.services:
            if service.name in bad and not printer.on:
                printer.say(f"the last lines of {service.name}:\n{service.tail()}")
    return ok and not bad


def main(arguments):
    """script/up. Returns the exit status."""
    args = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)
    clock = Clock()
    printer = Printer()

    def progress(text):
        printer.say(f"{clock}  {text}")

    directory = os.path.abspath(args.run_dir)
    if args.once:
        directory = os.path.join(directory, "once")
    try:
        with lock(directory):
            layout = Layout.at(args.port_base, args.vip, args.broker)
            system = System(directory, build.programs_dir(), layout, printer)
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
