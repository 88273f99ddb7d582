# SPDX-License-Identifier: MIT
"""The world of a fault test with a broker: clients under load, a virtual host, proxies."""
import contextlib
import re
import subprocess
import urllib.parse

import pika
import requests

from clients import Clients
from fault_proxy import FaultProxy
from world import eventually

HOST = "127.0.0.1"
LOGIN = ("guest", "guest")


class Scene(Clients):
    """A test's clients on a broker, and checks at its end that all is as it should be."""

    usual = {"heartbeat": 2}

    def __init__(self, directory, program, node, name, rng):
        super().__init__(directory, program, rng)
        self.node = node
        self.vhost = re.sub(r"[^A-Za-z0-9]+", "-", name)[:60]
        self.proxies = []
        self._baseline_held = {}
        requests.delete(self._api(f"vhosts/{self.vhost}"), auth=LOGIN, timeout=30)
        assert requests.put(self._api(f"vhosts/{self.vhost}"), auth=LOGIN, timeout=30).ok

    # ---- what it consists of ----

    @property
    def url(self):
        return self.url_through(None)

    def url_through(self, proxy):
        """Of this test's virtual host, through a proxy or not."""
        port = proxy.port if proxy else self.node.ports.amqp
        return f"amqp://guest:guest@{HOST}:{port}/{urllib.parse.quote(self.vhost, safe='')}"

    def where(self):
        return f"the broker has {self.queues()}"

    def proxy(self):
        """A proxy in front of the broker."""
        made = FaultProxy(HOST, self.node.ports.amqp).start()
        self.proxies.append(made)
        return made

    def publisher(self, name="p", queue="q", prefix=(), proxy=None, **args):
        """A publisher, not started, that connects through a proxy or not."""
        return super().publisher(name, queue, prefix, **{"url": self.url_through(proxy), **args})

    def consumer(self, name="c", queue="q", prefix=(), proxy=None, **args):
        """A consumer, as publisher()."""
        return super().consumer(name, queue, prefix, **{"url": self.url_through(proxy), **args})

    # ---- the course of a test ----

    def settle(self):
        """Everything runs: keep what the processes have now, to compare with at the end."""
        for client in self.clients:
            client.wait_up()
        self.wait_handled()
        self.keep_resources()
        n_expected = sum(2 if client.role == "consume" else 1 for client in self.clients)
        self.until(lambda: self.held()["connections"] == n_expected, 30,
                   f"{n_expected} connections, and no others")
        self._baseline_held = self.held()

    def finish(self, ordered=True):
        """The end of a test that went well: nothing lost, nothing left over, all as before."""
        self.quiesce()
        self.ledger.check(ordered)
        if self.check_resources() == self.clients:
            self._check_held()
        self.stop_all()
        self.ledger.check(ordered)
        self.wait_broker_quiet()

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
        """Nothing of the test runs any more, and its virtual host is gone."""
        try:
            super().end()
        finally:
            for proxy in self.proxies:
                proxy.stop()
            with contextlib.suppress(requests.RequestException):
                requests.delete(self._api(f"vhosts/{self.vhost}"), auth=LOGIN, timeout=30)

    # ---- the broker ----

    def _api(self, path):
        return f"{self.node.management_url}/api/{path}"

    def held(self):
        """How many connections, channels and consumers of the virtual host the broker has now.

        From the broker itself: the management pages are up to 5 s behind.
        """
        vhost = f'<<"{self.vhost}">>'
        answer = self.node.erlang(
            f"Of = fun(All) -> length([1 || [{{vhost, V}}] <- All, V =:= {vhost}]) end, "
            f"{{Of(rabbit_networking:connection_info_all([vhost])), "
            f"Of(rabbit_channel:info_all([vhost])), "
            f"length(rabbit_amqqueue:consumers_all({vhost}))}}.")
        numbers = re.fullmatch(r"\{ok, *\{(\d+), *(\d+), *(\d+)\}\}", answer)
        assert numbers, answer
        return dict(zip(("connections", "channels", "consumers"), map(int, numbers.groups())))

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
        answer = self.node.erlang(
            f"[{{binary_to_atom(element(4, N)), M}} || "
            f'Q <- rabbit_amqqueue:list(<<"{self.vhost}">>), '
            f"[{{name, N}}, {{messages, M}}] <- [rabbit_amqqueue:info(Q, [name, messages])]].")
        assert answer.startswith("{ok,"), answer
        return {name: int(count)
                for name, count in re.findall(r"\{'?([^'{},]+)'?, *(\d+)\}", answer)}

    @contextlib.contextmanager
    def channel(self):
        """A pika channel, as somebody else's."""
        conn = pika.BlockingConnection(pika.URLParameters(self.url))
        try:
            yield conn.channel()
        finally:
            if conn.is_open:
                conn.close()

    @staticmethod
    def properties(message_id):
        """Of a persistent message of somebody else's."""
        return pika.BasicProperties(message_id=message_id, delivery_mode=2)

    def dead_letters(self, count, queue="q"):
        """Wait for so many dead letters and take them: [(properties, body)]. The ledger hears of
        them."""
        self.until(lambda: self.queues().get(f"{queue}.dead") == count, 60, f"{count} dead letters")
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
