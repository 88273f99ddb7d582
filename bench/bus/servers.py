# SPDX-License-Identifier: MIT
"""The peers' servers: each on the loopback, on its own port, with its data in our directory."""
import os
import socket
import subprocess
import time

import processes
from programs import Failure

START_TIMEOUT_S = 20
STOP_TIMEOUT_S = 20


class Server:
    """One server, which ends with us."""

    def __init__(self, directory, name, command, port):
        self.port = port
        self._name = name
        self._log = os.path.join(directory, f"{name}.log")
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen([*processes.DIE_WITH_PARENT, *command], cwd=directory,
                                             stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._wait_serves()

    @property
    def pid(self):
        """The process' number."""
        return self._process.pid

    def _wait_serves(self):
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
                return
            except OSError:
                pass
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                with open(self._log, encoding="utf-8", errors="replace") as log:
                    raise Failure(f"{self._name} does not serve on port {self.port}:\n{log.read()}")
            time.sleep(0.01)

    def stop(self):
        """End it; harmless when it has ended."""
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def nats(directory):
    """NATS with JetStream. It writes each message to its file when it comes, and asks for the disk
    every two minutes: in this version that cannot be changed."""
    port, = processes.free_ports(1)
    return Server(directory, "nats-server", [
        "nats-server", "--addr", "127.0.0.1", "--port", str(port), "--jetstream",
        "--store_dir", os.path.join(directory, "nats")], port)


def redis(directory, appendfsync):
    """Redis with an append-only file, which is never rewritten and so costs nothing extra."""
    port, = processes.free_ports(1)
    data = os.path.join(directory, f"redis-{appendfsync}")
    os.makedirs(data)
    return Server(directory, f"redis-{appendfsync}", [
        "redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir", data, "--save", "",
        "--appendonly", "yes", "--appendfsync", appendfsync,
        "--auto-aof-rewrite-percentage", "0"], port)


def rabbitmq_pid(node):
    """The process of a RabbitNode that does the work."""
    for pid in processes.marked(node.directory):
        if (processes.process_name(pid) or "").startswith("beam"):
            return pid
    raise Failure("RabbitMQ is not running")


def usage(pid):
    """(nanoseconds on a processor, switches of context) of a process' threads so far."""
    cpu_ns = switches = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        task = f"/proc/{pid}/task/{thread}"
        try:
            with open(f"{task}/schedstat", encoding="ascii") as schedstat:
                cpu_ns += int(schedstat.read().split()[0])
            with open(f"{task}/status", encoding="utf-8", errors="replace") as status:
                switches += sum(int(line.split()[1]) for line in status if "ctxt_switches" in line)
        except FileNotFoundError:
            continue  # the thread has ended
    return cpu_ns, switches
