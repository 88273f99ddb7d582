# SPDX-License-Identifier: MIT
"""How long requests take while somebody pushes and the server fetches.

A server with a mirror, in four ways: in peace; while pushes go to another repository and are
fetched from there by git, which costs the machine as much and the server nothing; while pushes go
to its own, with a webhook each, and change one application; and the same for what all applications
share, after which no answer is what it was.
"""
import dataclasses
import subprocess
import threading
import time
import typing

import estate as estates
import repository
import serving
from serving import LOAD_CORE, Contender, Failure, on_core

PEACE, ELSEWHERE, ONE, ALL = ("in peace", "pushes elsewhere", "pushes of one application",
                              "pushes of a shared file")


@dataclasses.dataclass(frozen=True)
class Way:
    """What goes on meanwhile."""

    commit: typing.Callable
    push: typing.Callable
    after_push: typing.Callable
    key: str | None  # of the server that has the new value then


class Pusher(threading.Thread):
    """Pushes every so often until told to end."""

    def __init__(self, way, every_s):
        super().__init__(daemon=True)
        self.n_pushes = 0
        self.value = None
        self._error = None
        self._way, self._every_s = way, every_s
        self._ending = threading.Event()

    def run(self):
        try:
            while not self._ending.is_set():
                begin = time.monotonic()
                self.value = self._way.commit()
                self._way.push()
                self._way.after_push()
                self.n_pushes += 1
                self._ending.wait(max(0.0, self._every_s - (time.monotonic() - begin)))
        except (OSError, Failure, subprocess.SubprocessError) as error:
            self._error = error

    def end(self):
        """End it, and fail if a push did."""
        self._ending.set()
        self.join()
        if self._error is not None:
            raise Failure(f"a push failed: {self._error}")


def _ways(estate, server):
    """{name: Way}; None for peace."""
    other = estate.copy("other.git")
    follower = estate.fresh_dir("follower")
    repository.git(estate.directory, "clone", "-q", "--mirror", other, follower)
    stranger = estate.writer("writer-other", other)
    own = estate.writer("writer-own", estate.remote)

    def fetch():
        subprocess.run(on_core(LOAD_CORE, ["git", "-C", follower, "fetch", "-q"]), check=True)

    def tell(file):
        return lambda: estates.post_webhook(server.port, estate.remote, file)

    return {
        PEACE: None,
        ELSEWHERE: Way(stranger.commit_app, stranger.push, fetch, None),
        ONE: Way(own.commit_app, own.push, tell(f"{repository.app_name(0)}.yml"),
                 repository.APP_KEY),
        ALL: Way(own.commit_shared, own.push, tell("application.yml"), repository.SHARED_KEY),
    }


def _measure(row, way, estate, args):
    """One round; the number of pushes meanwhile."""
    pusher = Pusher(way, args.push_every / 1000) if way else None
    if pusher:
        pusher.start()
    serving.measure(row, args.seconds, args.connections, script=[args.lua, estate.paths_file])
    if not pusher:
        return 0
    pusher.end()
    if way.key:
        estates.wait_value(row.service.port, estate.paths[0], way.key, pusher.value)
    return pusher.n_pushes


def run(estate, args):
    """Measure; ({row: medians}, figures)."""
    server = estate.configserver("configserver, mirror", estate.remote,
                                 bus="bus:" + estate.fresh_dir("bus-fetch"))
    serving.start_time(server, estate.paths[0])
    estates.read_all(server.port, estate.paths)
    ways = _ways(estate, server)
    rows = {name: Contender(name, server) for name in ways}
    n_pushes = dict.fromkeys(ways, 0)
    for number in range(args.rounds):
        for name, way in ways.items():
            n_pushes[name] += _measure(rows[name], way, estate, args)
        serving.print_rounds(rows.values(), number, args.rounds)
    server.stop()
    result = {name: row.medians() | {"pushes": n_pushes[name]} for name, row in rows.items()}
    serving.print_results(result)
    print(", ".join(f"{name}: {n}" for name, n in n_pushes.items() if n))
    ratio = result[ONE]["p99_ms"] / result[ELSEWHERE]["p99_ms"]
    return result, [("p99 while fetches run, against pushes elsewhere", ratio, "x", "<=", 1.5)]
