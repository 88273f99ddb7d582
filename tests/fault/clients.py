# SPDX-License-Identifier: MIT
"""The clients under load of one fault test and their ledger, whatever carries the messages."""
import contextlib
import os
import re
import signal
import subprocess
import threading
import time

import processes
from ledger import Consumed, Ledger, Published, some
from world import eventually

RSS_GROWTH_MAX_KIB = 32 << 10  # of a client between two quiet moments: buffers, malloc's arenas


class Client:
    """One fault_load process, and what it says. `args` are its flags without the dash."""

    def __init__(self, scene, role, name, args, prefix=()):
        self.scene = scene
        self.role = role
        self.name = name
        self.args = args
        self.prefix = list(prefix)
        self.may_end = True  # otherwise its end fails whatever waits for something
        self.born = 0  # the mark() of its start
        self.log_path = os.path.join(scene.directory, f"{name}.log")
        self._events = []  # (monotonic time, line)
        self._changed = threading.Condition()
        self._process = None
        self._reader = None
        self._ended = False

    def start(self):
        """Run it; again after its end, if need be."""
        command = [*self.prefix, self.scene.program, self.role]
        for flag, value in self.args.items():
            command += [f"-{flag.replace('_', '-')}", str(value)]
        self._ended = False
        self.may_end = False
        self.born = self.mark()
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                processes.DIE_WITH_PARENT + command, cwd=self.scene.directory,
                env=self.scene.environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, start_new_session=True)
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()
        return self

    def _read(self, process):
        for raw in process.stdout:
            with self._changed:
                self._events.append((time.monotonic(), raw.decode().rstrip("\n")))
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def pid(self):
        """Of the process."""
        return self._process.pid

    @property
    def exit_code(self):
        """None while it runs; negative is the signal that ended it."""
        return self._process.poll() if self._process else None

    @property
    def is_running(self):
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def mark(self):
        """A point in what it says, for wait()."""
        with self._changed:
            return len(self._events)

    def wait(self, pattern, timeout_s=30.0, since=0):
        """Wait for a line that matches, after the point `since`; returns (time, line)."""
        def found():
            return next((event for event in self._events[since:] if re.match(pattern, event[1])),
                        None)

        with self._changed:
            self._changed.wait_for(lambda: found() or self._ended, timeout_s)
            event = found()
        assert event, (f"{self.name} did not say {pattern!r} within {timeout_s:g} s, but:\n"
                       f"{self.tail()}")
        return event

    def said(self, pattern, since=0):
        """The lines so far that match."""
        with self._changed:
            return [line for _, line in self._events[since:] if re.match(pattern, line)]

    def last_state(self):
        """The state it told last, with the reason."""
        states = self.said("state ")
        return states[-1][6:].strip() if states else ""

    def wait_up(self, timeout_s=60.0):
        """Wait until its last word is that it is up."""
        self.scene.until(lambda: self.last_state() == "up", timeout_s, f"{self.name} being up")
        return self

    def tail(self):
        """What it said and logged last, for an error message."""
        with self._changed:
            said = [line for _, line in self._events[-12:]]
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            logged = [line.rstrip() for line in log.readlines()[-12:]]
        return "\n".join(f"    {line}" for line in (*said, "---", *logged))

    def command(self, text):
        """Tell it something."""
        self._process.stdin.write(f"{text}\n".encode())
        self._process.stdin.flush()

    def ask(self, text, answer, timeout_s=30.0):
        """Tell it something and wait for the answer."""
        since = self.mark()
        self.command(text)
        return self.wait(answer, timeout_s, since)[1]

    def ask_up(self, timeout_s=60):
        """Wait until it is up, and consumes if it is a consumer."""
        said = self.ask(f"up {int(timeout_s * 1000)}", "is-up ", timeout_s + 5)
        assert said == "is-up ok", f"{self.name} {said}\n{self.tail()}"

    def flush(self, timeout_s=60):
        """All that it accepted is confirmed or reported."""
        said = self.ask(f"flush {int(timeout_s * 1000)}", "flushed ", timeout_s + 5)
        assert said == "flushed ok", f"{self.name} {said}\n{self.tail()}"

    def stop(self, timeout_s=20, expect=0):
        """Have it close; checks its exit status."""
        if self.is_running:
            self.command(f"stop {int(timeout_s * 1000)}")
        code = self.wait_end(timeout_s + 10)
        assert code == expect, f"{self.name} ended with status {code}:\n{self.tail()}"

    def wait_end(self, timeout_s=30):
        """Wait for its end, and its last word; returns the exit code. Killed after the time."""
        self.may_end = True
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(10)
        self._process.stdin.close()
        return code

    def signal(self, number):
        """Send it a signal."""
        self._process.send_signal(number)

    def kill(self):
        """End it as a crash would."""
        self.signal(signal.SIGKILL)
        self.wait_end()

    def resources(self):
        """What it has of the system now."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            fields = dict(line.split(":", 1) for line in status)
        return {"fds": len(os.listdir(f"/proc/{self.pid}/fd")),
                "threads": int(fields["Threads"]), "rss_kib": int(fields["RssAnon"].split()[0])}


class Clients:
    """Makes the clients of a test, and says when they have done what is waited for.

    `url` is what a client connects to that is not told otherwise, `usual` its flags.
    """

    usual = {}

    fds_more = 0  # that a client may have at the end of a test

    def __init__(self, directory, program, rng):
        self.directory = str(directory)
        self.program = program
        self.rng = rng
        self.ledger = Ledger()
        self.clients = []
        self.prefix = ()  # of the commands of clients that have none of their own
        self._baseline = {}  # client: (its pid, what it had when all was well)
        os.makedirs(self.directory)

    # ---- what it consists of ----

    @property
    def url(self):
        """Of what carries the messages."""
        raise NotImplementedError

    def where(self):
        """What carries the messages has, in words, for an error message."""
        raise NotImplementedError

    def environment(self):
        """Of a client: nothing of the caller's but the path and the sanitizers' options."""
        kept = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
        return {"LANG": "C.UTF-8", processes.MARK: self.directory,
                **{name: os.environ[name] for name in kept if name in os.environ}}

    def path(self, *parts):
        """A path of this test's own."""
        return os.path.join(self.directory, *parts)

    def publisher(self, name="p", queue="q", prefix=(), **args):
        """A publisher, not started. Its journal is that of all its lives."""
        path = self.path(f"{name}.journal")
        args = {"url": self.url, "queue": queue, "name": name, "journal": path, "rate": 500,
                **self.usual, **args}
        client = Client(self, "publish", name, args, prefix or self.prefix)
        self.clients.append(client)
        self.ledger.published.setdefault(name, Published(path))
        return client

    def consumer(self, name="c", queue="q", prefix=(), **args):
        """A consumer, not started."""
        path = self.path(f"{name}.journal")
        args = {"url": self.url, "queue": queue, "name": name, "journal": path, **self.usual,
                **args}
        client = Client(self, "consume", name, args, prefix or self.prefix)
        self.clients.append(client)
        self.ledger.consumed.setdefault(name, Consumed(path))
        return client

    # ---- the course of a test ----

    def until(self, check, timeout_s=30, what="what is waited for"):
        """As eventually(), but fails at once when a client ends that is not expected to."""
        def checked():
            ended = [f"{client.name} ended with status {client.exit_code}"
                     for client in self.clients
                     if not client.may_end and client.exit_code is not None]
            assert not ended, "; ".join(ended)
            return check()

        try:
            return eventually(checked, timeout_s, what)
        except AssertionError as failed:
            raise AssertionError(f"{failed}\n{self.tails()}") from None

    def wait_handled(self, more=300, timeout_s=60):
        """Wait until handlers were called so many times more."""
        target = self.ledger.read().n_handled + more
        self.until(lambda: self.ledger.read().n_handled >= target, timeout_s,
                   f"{target} messages being handled")

    def wait_complete(self, timeout_s=90):
        """Wait until all that was accepted is accounted for."""
        try:
            self.until(lambda: not self.ledger.missing(), timeout_s)
        except AssertionError as failed:
            raise AssertionError(f"accepted and neither handled nor reported: "
                                 f"{some(self.ledger.missing())}; {self.where()}\n"
                                 f"{failed}") from None

    def quiesce(self):
        """Publishers pause and are confirmed, consumers have it all."""
        running = [client for client in self.clients if client.is_running]
        for client in running:
            if client.role == "publish":
                client.ask("pause", "paused")
        for client in running:
            if client.role == "publish":
                client.flush(120)
        self.wait_complete()

    def keep_resources(self):
        """All is well: what the processes have now is what they may have at the end."""
        self._baseline = {client: (client.pid, client.resources())
                          for client in self.clients}

    def check_resources(self):
        """Those that run since then have no more than they had. Returns them."""
        same = [client for client in self.clients
                if client.is_running and self._baseline.get(client, (0,))[0] == client.pid]
        for client in same:
            self._check_resources(client)
        return same

    def _check_resources(self, client):
        _, before = self._baseline[client]

        def back():
            now = client.resources()
            return (now["fds"] <= before["fds"] + self.fds_more
                    and now["threads"] <= before["threads"]
                    and now["rss_kib"] <= before["rss_kib"] + RSS_GROWTH_MAX_KIB)

        try:
            eventually(back, 20)
        except AssertionError:
            raise AssertionError(f"{client.name} has more than it had: {before}, now "
                                 f"{client.resources()}\n{client.tail()}") from None

    def stop_all(self):
        """Have all that run close; each has to end with status 0."""
        for client in self.clients:
            if client.is_running:
                client.stop()

    def end(self):
        """Nothing of the test runs any more, whatever became of it."""
        for client in self.clients:
            if client.is_running:
                with contextlib.suppress(ProcessLookupError):
                    client.signal(signal.SIGCONT)
                client.kill()
        assert not processes.marked(self.directory), "a process was left"

    def tails(self):
        """What all clients said last."""
        return "\n".join(f"  {client.name}:\n{client.tail()}" for client in self.clients
                         if os.path.exists(client.log_path))
