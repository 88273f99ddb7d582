# SPDX-License-Identifier: MIT
"""The world of one fault test: clients under load, a broker's virtual host, proxies, a ledger."""
import contextlib
import glob
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse

import pika
import requests

import processes
from fault_proxy import FaultProxy
from ledger import Consumed, Ledger, Published, some
from world import eventually

HOST = "127.0.0.1"
LOGIN = ("guest", "guest")
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


class Scene:
    """Makes the clients of a test, and checks at its end that all is as it should be."""

    def __init__(self, directory, program, node, name, rng):
        self.directory = str(directory)
        self.program = program
        self.node = node
        self.rng = rng
        self.vhost = re.sub(r"[^A-Za-z0-9]+", "-", name)[:60]
        self.ledger = Ledger()
        self.clients = []
        self.proxies = []
        self._baseline = {}
        self._baseline_held = {}
        self._n_asked = 0
        os.makedirs(self.directory)
        requests.delete(self._api(f"vhosts/{self.vhost}"), auth=LOGIN, timeout=30)
        assert requests.put(self._api(f"vhosts/{self.vhost}"), auth=LOGIN, timeout=30).ok

    # ---- what it consists of ----

    def environment(self):
        """Of a client: nothing of the caller's but the path and the sanitizers' options."""
        kept = ("PATH", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
        return {"LANG": "C.UTF-8", processes.MARK: self.directory,
                **{name: os.environ[name] for name in kept if name in os.environ}}

    def path(self, *parts):
        """A path of this test's own."""
        return os.path.join(self.directory, *parts)

    def url(self, proxy=None):
        """Of this test's virtual host, through a proxy or not."""
        port = proxy.port if proxy else self.node.ports.amqp
        return f"amqp://guest:guest@{HOST}:{port}/{urllib.parse.quote(self.vhost, safe='')}"

    def proxy(self):
        """A proxy in front of the broker."""
        made = FaultProxy(HOST, self.node.ports.amqp).start()
        self.proxies.append(made)
        return made

    def publisher(self, name="p", queue="q", proxy=None, prefix=(), **args):
        """A publisher, not started. Its journal is that of all its lives."""
        path = self.path(f"{name}.journal")
        args = {"url": self.url(proxy), "queue": queue, "name": name, "journal": path,
                "rate": 500, "heartbeat": 2, **args}
        client = Client(self, "publish", name, args, prefix)
        self.clients.append(client)
        self.ledger.published.setdefault(name, Published(path))
        return client

    def consumer(self, name="c", queue="q", proxy=None, prefix=(), **args):
        """A consumer, not started."""
        path = self.path(f"{name}.journal")
        args = {"url": self.url(proxy), "queue": queue, "name": name, "journal": path,
                "heartbeat": 2, **args}
        client = Client(self, "consume", name, args, prefix)
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

    def settle(self):
        """Everything runs: keep what the processes have now, to compare with at the end."""
        for client in self.clients:
            client.wait_up()
        self.wait_handled()
        self._baseline = {client: client.resources() for client in self.clients}
        n_expected = sum(2 if client.role == "consume" else 1 for client in self.clients)
        self.until(lambda: self.held()["connections"] == n_expected, 30,
                   f"{n_expected} connections, and no others")
        self._baseline_held = self.held()

    def wait_complete(self, timeout_s=90):
        """Wait until all that was accepted is accounted for."""
        try:
            self.until(lambda: not self.ledger.missing(), timeout_s)
        except AssertionError as failed:
            raise AssertionError(f"accepted and neither handled nor reported: "
                                 f"{some(self.ledger.missing())}; the broker has {self.queues()}\n"
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

    def finish(self, ordered=True):
        """The end of a test that went well: nothing lost, nothing left over, all as before."""
        self.quiesce()
        self.ledger.check(ordered)
        as_before = [client for client in self.clients
                     if client in self._baseline and client.is_running]
        for client in as_before:
            self._check_resources(client)
        if self._baseline and as_before == self.clients:
            self._check_held()
        for client in self.clients:
            if client.is_running:
                client.stop()
        self.ledger.check(ordered)
        self.wait_broker_quiet()

    def _check_resources(self, client):
        before = self._baseline[client]

        def back():
            now = client.resources()
            return (now["fds"] <= before["fds"] and now["threads"] <= before["threads"]
                    and now["rss_kib"] <= before["rss_kib"] + RSS_GROWTH_MAX_KIB)

        try:
            eventually(back, 20)
        except AssertionError:
            raise AssertionError(f"{client.name} has more than it had: {before}, now "
                                 f"{client.resources()}\n{client.tail()}") from None

    def _check_held(self):
        """The broker has neither more nor less of us than it had."""
        try:
            eventually(lambda: self.held() == self._baseline_held, 40)
        except AssertionError:
            raise AssertionError(f"the broker had {self._baseline_held}, now it has "
                                 f"{self.held()}") from None

    def wait_broker_quiet(self, timeout_s=40):
        """No connection, channel or consumer of this test is left, and no work queue holds any."""
        eventually(lambda: not any(self.held().values()), timeout_s, "an end of all connections")
        held = {name: n for name, n in self.queues().items() if n and not name.endswith(".dead")}
        assert not held, f"messages were left in {held}"

    def end(self):
        """Nothing of the test runs any more, whatever became of it."""
        for client in self.clients:
            if client.is_running:
                with contextlib.suppress(ProcessLookupError):
                    client.signal(signal.SIGCONT)
                client.kill()
        for proxy in self.proxies:
            proxy.stop()
        assert not processes.marked(self.directory), "a process was left"
        with contextlib.suppress(requests.RequestException):
            requests.delete(self._api(f"vhosts/{self.vhost}"), auth=LOGIN, timeout=30)

    def tails(self):
        """What all clients said last."""
        return "\n".join(f"  {client.name}:\n{client.tail()}" for client in self.clients
                         if os.path.exists(client.log_path))

    # ---- the broker ----

    def _api(self, path):
        return f"{self.node.management_url}/api/{path}"

    def held(self):
        """How many connections, channels and consumers of the virtual host the broker has now.

        From the broker itself: the management pages are up to 5 s behind.
        """
        vhost = f'<<"{self.vhost}">>'
        answer = self.erlang(
            f"Of = fun(All) -> length([1 || [{{vhost, V}}] <- All, V =:= {vhost}]) end, "
            f"{{Of(rabbit_networking:connection_info_all([vhost])), "
            f"Of(rabbit_channel:info_all([vhost])), "
            f"length(rabbit_amqqueue:consumers_all({vhost}))}}.")
        numbers = re.fullmatch(r"\{ok, *\{(\d+), *(\d+), *(\d+)\}\}", answer)
        assert numbers, answer
        return dict(zip(("connections", "channels", "consumers"), map(int, numbers.groups())))

    def erlang(self, expression):
        """What the broker's Erlang machine says to an expression: much quicker than rabbitmqctl."""
        _, env = self.node.control()
        erl_call = sorted(glob.glob("/usr/lib/erlang/erts-*/bin/erl_call"))[-1]
        self._n_asked += 1  # a name used again is refused while the node still knows the last one
        return subprocess.run([erl_call, "-sname", self.node.name, "-e",
                               "-h", f"fault{os.getpid()}n{self._n_asked}"], env=env, timeout=60,
                              input=f"{expression}\n".encode(), check=True,
                              cwd=self.node.directory, stdout=subprocess.PIPE,
                              ).stdout.decode().strip()

    def connection_names(self):
        """Of the virtual host, as the management pages have them, which takes up to 5 s."""
        answer = requests.get(self._api(f"vhosts/{self.vhost}/connections"), auth=LOGIN, timeout=30)
        answer.raise_for_status()
        return [connection["name"] for connection in answer.json()]

    def close_connection(self, name, reason="closed by the test"):
        """What an operator does in the management pages."""
        path = f"connections/{urllib.parse.quote(name, safe='')}"
        requests.delete(self._api(path), auth=LOGIN, timeout=30,
                        headers={"X-Reason": reason}).raise_for_status()

    def queues(self):
        """The queues and how many messages each has, those at consumers included."""
        answer = self.erlang(
            f"[{{binary_to_atom(element(4, N)), M}} || "
            f'Q <- rabbit_amqqueue:list(<<"{self.vhost}">>), '
            f"[{{name, N}}, {{messages, M}}] <- [rabbit_amqqueue:info(Q, [name, messages])]].")
        assert answer.startswith("{ok,"), answer
        return {name: int(count)
                for name, count in re.findall(r"\{'?([^'{},]+)'?, *(\d+)\}", answer)}

    @contextlib.contextmanager
    def channel(self):
        """A pika channel, as somebody else's."""
        conn = pika.BlockingConnection(pika.URLParameters(self.url()))
        try:
            yield conn.channel()
        finally:
            if conn.is_open:
                conn.close()

    @staticmethod
    def properties(message_id):
        """Of a persistent message of somebody else's."""
        return pika.BasicProperties(message_id=message_id, delivery_mode=2)

    def dead_letters(self, queue="q"):
        """Take what is in the dead letter queue: [(properties, body)]. The ledger hears of it."""
        found = []
        with self.channel() as channel:
            while True:
                method, properties, body = channel.basic_get(f"{queue}.dead", auto_ack=True)
                if method is None:
                    break
                found.append((properties, body.decode()))
        self.ledger.elsewhere |= {body.split(" ")[0] for _, body in found}
        return found

    def rabbitmqctl(self, *arguments):
        """Run it; returns what it printed."""
        command, env = self.node.control(*arguments)
        return subprocess.run(command, env=env, check=True, timeout=60, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.decode()
