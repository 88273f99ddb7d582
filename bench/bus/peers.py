# SPDX-License-Identifier: MIT
"""Who is measured: Godwit's bus, and the others, each with its load program and its server."""
import os
import shutil

import servers
from programs import Cannot, Running, as_arguments

PREFETCH = 1000
BATCH = 64
QUEUE = "bench"


class Peer:
    """A load program, a server for each level it can keep, and what is particular about it."""

    name = ""
    program = ""
    cannot = {}  # reason by the name of a measurement: it is left out
    depth_max = None  # no deeper queues than this: it would take too long

    def __init__(self, urls, pids):
        self._urls = urls  # by level
        self._pids = pids  # of the servers, by level

    def check(self, what, level="process"):
        """Raise Cannot with the reason why it is not measured."""
        reason = self.cannot.get(what)
        if not reason and level not in self._urls:
            reason = self.cannot[level]
        if reason:
            raise Cannot(reason)

    def options(self, batch, threads, level):
        """Of the program, to publish `batch` messages together, or `threads` at a time."""
        return {"batch": batch, "threads": threads, "window": 2 * PREFETCH}

    def run(self, mode, options=None, level="process", timeout_s=300):
        """Start the load program."""
        return Running(self._urls[level], self.program,
                       [mode, *as_arguments({"queue": QUEUE, **(options or {})})], timeout_s)

    def publish(self, count, level="process", batch=1, threads=1):
        """The result of publishing."""
        options = {"count": count, **self.options(batch, threads, level)}
        return self.run("publish", options, level, timeout_s=1800).result()

    def consume(self, count, level="process"):
        """A consumer that is ready; its result is to be waited for."""
        options = {"count": count, **self.receive_options(level)}
        return self.run("consume", options, level).wait_ready()

    def receive_options(self, level):
        """Of the program when it receives."""
        return {"prefetch": PREFETCH}

    def clear(self, level="process"):
        """Remove the queue and what is in it."""
        self.run("delete", level=level).result()

    def server_cpu_ns(self, level="process"):
        """What the server has used so far; 0 without one."""
        return servers.usage(self._pids[level])[0] if level in self._pids else 0

    def server_usage(self, level="process"):
        """(nanoseconds, switches of context) of the server; None without one."""
        return servers.usage(self._pids[level]) if level in self._pids else None


class Godwit(Peer):
    """Godwit on a bus. There is no server: a new bus for each measurement is all."""

    name = "Godwit"
    program = "godwit_load"

    def __init__(self, directory):
        self._directory = os.path.join(directory, "bus")
        self._own = os.path.join(directory, "own")  # what each process keeps for itself
        self._n_started = 0
        super().__init__({level: f"bus:{self._directory}" for level in ("process", "disk")}, {})

    def run(self, mode, options=None, level="process", timeout_s=300):
        os.makedirs(self._own, exist_ok=True)
        self._n_started += 1
        own = {"dir": os.path.join(self._own, str(self._n_started))}
        return super().run(mode, {**(options or {}), **own}, level, timeout_s)

    def options(self, batch, threads, level):
        return {"batch": batch, "threads": threads, "level": level}

    def receive_options(self, level):
        return {"prefetch": PREFETCH, "level": level}

    def clear(self, level="process"):
        for directory in (self._directory, self._own):
            shutil.rmtree(directory, ignore_errors=True)


class JetStream(Peer):
    """NATS JetStream on file."""

    name = "JetStream"
    program = "nats_load"
    cannot = {"disk": "does not: nats-server 2.9 has no sync_interval"}

    def __init__(self, server):
        super().__init__({"process": f"nats://127.0.0.1:{server.port}"}, {"process": server.pid})


class Redis(Peer):
    """Redis streams: one server that asks for the disk every second, one that does each time."""

    name = "Redis"
    program = "redis_load"

    def __init__(self, every_second, always):
        by_level = {"process": every_second, "disk": always}
        super().__init__({k: f"redis://127.0.0.1:{s.port}" for k, s in by_level.items()},
                         {k: s.pid for k, s in by_level.items()})


class RabbitMQ(Peer):
    """RabbitMQ, persistent and confirmed, which is more than `process`, through the loop on
    librabbitmq: it has one connection, and as many messages on their way as others have threads.
    """

    name = "RabbitMQ"
    program = "librabbitmq_loop"
    depth_max = 1000000
    cannot = {"deeper": "not measured: to fill it takes minutes"}

    def __init__(self, node):
        pid = servers.rabbitmq_pid(node)
        super().__init__({level: node.amqp_url for level in ("process", "disk")},
                         {level: pid for level in ("process", "disk")})

    def options(self, batch, threads, level):
        return {"window": PREFETCH if batch > 1 and level == "process" else batch * threads}


class Lmdb(Peer):
    """The limit: one process that appends to an LMDB, without queues or consumers."""

    name = "bare LMDB"
    program = "lmdb_append"
    cannot = {what: "only appends" for what in ("end_to_end", "latency", "idle", "depth")} | {
        what: "one writer" for what in ("sixteen", "disk_shared")}

    def __init__(self, directory):
        self._directory = os.path.join(directory, "lmdb")
        super().__init__({"process": "lmdb", "disk": "lmdb"}, {})

    def options(self, batch, threads, level):
        os.makedirs(self._directory, exist_ok=True)
        return {"batch": batch, "level": level, "dir": self._directory}

    def clear(self, level="process"):
        shutil.rmtree(self._directory, ignore_errors=True)
