# SPDX-License-Identifier: MIT
"""The load programs: building them, running one, and the clients that are measured with them."""
import dataclasses
import json
import os
import statistics
import subprocess
import threading

import build
import processes
from machine import ROOT

PRESET = "release"
DIRECTORY = os.path.join(ROOT, "build", PRESET, "bench")
CANNOT = 3  # the exit status of a program that says that it has no such thing
MANDATORY = "same, mandatory"  # the loop with what Godwit asks of the broker as well
DISK_THREADS = 64  # that publish at level disk: they share the waits for the disk


class Failure(Exception):
    """Something a person must read."""


class Cannot(Exception):
    """The program does not have what was asked for; the text is its reason."""


def build_all(log_path, targets, with_go=False):
    """Build programs in C, and the one in Go, which needs no network: all it is made of is in
    Debian's packages."""
    build.build(PRESET, log_path, targets)
    if not with_go:
        return
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": "/usr/share/gocode",
                   "GOFLAGS": "", "GOPROXY": "off",
                   "GOCACHE": os.path.join(ROOT, "build", "go-cache")}
    if build.run_logged(["go", "build", "-o", os.path.join(DIRECTORY, "amqp091"),
                         "./bench/peers/amqp091"], log_path, env=environment):
        raise build.BuildError(f"building bench/peers/amqp091 failed:\n{build.log_tail(log_path)}")


class Running:
    """A load program that runs; it is ended when it takes longer than it may."""

    def __init__(self, url, program, arguments, timeout_s):
        self.name = " ".join([program, *arguments])
        self._errors = []
        self._process = subprocess.Popen(
            [*processes.DIE_WITH_PARENT, os.path.join(DIRECTORY, program), *arguments],
            env={**os.environ, "GODWIT_BENCH_URL": url or ""}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._timer = threading.Timer(timeout_s, self._process.kill)
        self._timer.start()
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read_errors, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        """The process' number."""
        return self._process.pid

    def _read_errors(self):
        for line in self._process.stderr:
            if line == "ready\n":
                self._ready.set()
            else:
                self._errors.append(line)
        self._ready.set()

    def wait_ready(self):
        """Wait until it said that it is, or ended."""
        self._ready.wait()
        return self

    def line(self):
        """The next line of results."""
        text = self._process.stdout.readline()
        if text:
            return json.loads(text)
        self.wait_end()
        raise Failure(f"{self.name} ended without a result:\n{''.join(self._errors)}")

    def wait_end(self):
        """Wait for its end, which must be a good one."""
        code = self._process.wait()
        self._timer.cancel()
        self._reader.join()
        self._process.stdout.close()
        self._process.stderr.close()
        if code == CANNOT:
            raise Cannot("".join(self._errors).strip())
        if code:
            raise Failure(f"{self.name} ended with status {code}:\n{''.join(self._errors)}")

    def result(self):
        """Its one line of results, and wait for its end."""
        line = self.line()
        self.wait_end()
        return line

    def end(self):
        """End it, if it runs."""
        self._process.kill()
        self._process.wait()
        self._timer.cancel()


def as_arguments(options):
    """{"count": 5} as ["-count", "5"]."""
    return [word for key, value in options.items()
            for word in ("-" + key.replace("_", "-"), str(value))]


class Broker:
    """The node that all use, and questions about it that cost it little."""

    def __init__(self, node):
        self.node = node
        self.url = node.amqp_url

    def depth(self, queue):
        """How many messages wait in a queue."""
        return Running(self.url, "librabbitmq_loop", ["depth", "-queue", queue], 60) \
            .result()["messages"]

    def delete(self, queue):
        """Delete a queue, if it is there."""
        Running(self.url, "librabbitmq_loop", ["delete", "-queue", queue], 60).result()

    def control(self, *arguments):
        """Run rabbitmqctl."""
        command, environment = self.node.control(*arguments)
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=60)
        if done.returncode:
            raise Failure(f"rabbitmqctl {' '.join(arguments)}:\n{done.stdout}{done.stderr}")


@dataclasses.dataclass
class Client:
    """One client that is measured: a program, and for Godwit a level of the outbox."""

    name: str
    program: str
    level: str = ""
    options: tuple = ()  # of the program, in all its modes
    missing: str = ""  # why it cannot be measured
    rounds: dict = dataclasses.field(default_factory=dict)

    @property
    def key(self):
        """For names of queues and directories."""
        return "_".join([self.program, self.level, *self.options])

    def run(self, broker, directory, mode, timeout_s=120, **options):
        """Start the program in a mode."""
        arguments = [mode, *as_arguments(options), *self.options]
        if self.level:
            # One process at a time uses an outbox: each mode has its own.
            outbox = os.path.join(directory, "outbox", f"{self.level}-{mode}")
            os.makedirs(os.path.dirname(outbox), exist_ok=True)
            arguments += ["-level", self.level, "-dir", outbox]
            if self.level == "disk":
                arguments += ["-threads", str(DISK_THREADS)]
        return Running(broker.url, self.program, arguments, timeout_s)

    def note(self, mode, result):
        """Keep a result of a round."""
        self.rounds.setdefault(mode, []).append(result)

    def median(self, mode, key):
        """The median of one number over the rounds; None when there is none."""
        values = [r[key] for r in self.rounds.get(mode, [])]
        return statistics.median(values) if values else None

    def medians(self):
        """All medians, by mode."""
        return {mode: {key: self.median(mode, key) for key, value in rounds[0].items()
                       if isinstance(value, (int, float))}
                for mode, rounds in self.rounds.items()}


def clients(levels):
    """All that are measured, peers first."""
    return [Client("librabbitmq loop", "librabbitmq_loop"),
            Client(MANDATORY, "librabbitmq_loop", options=("-mandatory", "1")),
            Client("amqp091-go", "amqp091"),
            *(Client(f"Godwit, {level}", "godwit_load", level) for level in levels)]
