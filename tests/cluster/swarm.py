# SPDX-License-Identifier: MIT
"""The whole system on a cluster: configserver, two accountservices and two vipservices, each with
all nodes in its URL, quorum queues, and readers of two VIP accounts, one at each accountservice."""
import concurrent.futures
import contextlib
import json
import time
import urllib.parse

import pika

from estate import QUEUE, Estate
from figures import LIMIT_S, ns_of
from readers import HOST, Readers
from service import http_request
from world import World, eventually

VIPS = ("10000", "10001")
HEARTBEAT_S = 3
CONFIRM_TIMEOUT_S = 8
RATE = 50  # reads of an account a second
# A consumer that comes while RabbitMQ 3.10's quorum queue is without a leader waits for so long, also
# when there is one a moment later.
CONSUME_S = 5
# After RabbitMQ has another leader for the queue, which with a node that hangs takes it up to 8 s.
LED_AGAIN_S = 3
# RabbitMQ 3.10 was seen to forget a quorum queue that is a moment old when its node is killed.
QUEUE_AGE_READS = 5 * RATE


class ClusterWorld(World):
    """Its programs are given all nodes; what a test asks itself, it asks one that runs."""

    def __init__(self, directory, programs, members, name):
        self.members = members
        super().__init__(directory, programs, members.running, name)

    def url_for(self, password):
        """With all nodes."""
        hosts = ",".join(f"{HOST}:{node.ports.amqp}" for node in self.members.nodes)
        return (f"amqp://guest:{password}@{hosts}/{urllib.parse.quote(self.vhost, safe='')}"
                f"?heartbeat={HEARTBEAT_S}&confirm_timeout={CONFIRM_TIMEOUT_S}")

    @contextlib.contextmanager
    def channel(self):
        """A pika channel on a node that runs."""
        node = self.members.running
        conn = pika.BlockingConnection(pika.URLParameters(
            f"amqp://guest:guest@{HOST}:{node.ports.amqp}/"
            f"{urllib.parse.quote(self.vhost, safe='')}"))
        try:
            yield conn.channel()
        finally:
            if conn.is_open:
                conn.close()


class Swarm(Estate):
    """An Estate under load, and the faults that it has gone through."""

    def __init__(self, world, members, figures):
        super().__init__(world, n_accounts=2, n_vips=2, queue_type="quorum")
        self.members = members
        self.readers = []
        self._n_refreshes = 0
        self._figures = figures

    def start(self, n_vips=None):
        """Everything runs, is healthy and has work, and the queue is old enough to be relied on."""
        self.world.set_vip_accounts(*VIPS)
        super().start(n_vips)
        self.readers = [Readers([port], count=2, rate=RATE, path=f"/accounts/{vip}").__enter__()
                        for port, vip in zip(self.account_ports, VIPS)]
        for reader in self.readers:
            reader.wait_answered(QUEUE_AGE_READS)
        eventually(lambda: len(self.members.online(self.world.vhost, QUEUE)) == 3, 30,
                   "the queue on all nodes")
        self.refresh()
        return self

    def end(self):
        """No more reads, whatever happened."""
        for reader in self.readers:
            reader.stop()

    @property
    def leader(self):
        """The node that leads the queue."""
        return self.members.leader(self.world.vhost, QUEUE)

    @contextlib.contextmanager
    def fault(self, name, limit_s=LIMIT_S, hung=None):
        """What is done inside is a fault. Within the limit after its beginning the broker confirms
        what each accountservice publishes, and CONSUME_S later it arrives. A configuration change
        reaches everybody then, also within the limit. All of it is written down. With a node that
        hangs RabbitMQ may take longer than that to find another leader: then ours is what follows.
        """
        start_ns = time.time_ns()
        yield
        done_ns = time.time_ns()
        accepted = [self._accepted(each) for each in self.accounts]
        with concurrent.futures.ThreadPoolExecutor() as threads:
            led = threads.submit(self._led_again_s, hung, start_ns) if hung else None
            published = [self._published_s(*each, start_ns)
                         for each in zip(self.accounts, accepted)]
            if led:
                limit_s = max(limit_s, led.result() + LED_AGAIN_S)
        arrived = max(self._arrived_s(vip, start_ns, done_ns) for vip in VIPS)
        refreshed = self.refresh()
        self._figures.add(name, published, arrived, refreshed)
        assert max(published) <= limit_s, f"{name}: publishing went on after {published} s"
        assert arrived <= limit_s + CONSUME_S, f"{name}: notifications came after {arrived} s"
        assert refreshed <= limit_s, f"{name}: all had the configuration after {refreshed} s"

    def _accepted(self, service):
        """How many messages a service has taken so far, confirmed or not."""
        return (self.metric(service, "godwit_messages_confirmed_total")
                + self.metric(service, "godwit_outbox_messages"))

    def _led_again_s(self, hung, start_ns):
        """Wait until another node than this one leads the queue."""
        eventually(lambda: self.leader is not hung, 60, "another leader")
        return (time.time_ns() - start_ns) / 1e9

    def _published_s(self, service, accepted, start_ns):
        """Wait until the broker confirms one of after the fault; how long after its start that was.
        """
        eventually(lambda: self.metric(service, "godwit_messages_confirmed_total") > accepted, 60,
                   f"a confirm for {service.name} after the fault")
        return (time.time_ns() - start_ns) / 1e9

    def _arrived_s(self, account_id, start_ns, done_ns):
        """Wait until a read of after the fault is counted; how long after its start that was seen."""
        def is_counted():
            last = self._last_ns(account_id)
            return last is not None and last >= done_ns

        eventually(is_counted, 60, f"a notification of {account_id} after the fault")
        return (time.time_ns() - start_ns) / 1e9

    def _last_ns(self, account_id):
        """When the last counted read of an account was."""
        status, body = http_request(self.vips[0].port, "GET", f"/vips/{account_id}")
        return ns_of(json.loads(body)["lastReadAt"]) if status == 200 else None

    def refresh(self):
        """Change the configuration; returns after how many seconds all four services had it.

        Each accountservice has one more VIP account of its own then; the vipservices have loaded it.
        """
        markers = [str(10002 + (2 * self._n_refreshes + i) % 98) for i in range(2)]
        self._n_refreshes += 1
        loads = {service: self._loads(service) for service in self.vips}
        since_ns = time.time_ns()
        self.world.set_vip_accounts(*VIPS, *markers)
        self.world.post_monitor("accountservice-test.yml", "vipservice-test.yml")
        for port, marker in zip(self.account_ports, markers):
            eventually(lambda p=port, m=marker: self._announces(p, m, since_ns), 60,
                       f"the accountservice at {port} knows of {marker}")
        for service, before in loads.items():
            eventually(lambda s=service, n=before: self._loads(s) > n, 60,
                       f"{service.name} loads the configuration")
        return (time.time_ns() - since_ns) / 1e9

    def _announces(self, port, account_id, since_ns):
        status, body = http_request(port, "GET", f"/accounts/{account_id}")
        assert status == 200, body
        last = self._last_ns(account_id)
        return last is not None and last >= since_ns

    def _loads(self, service):
        return self.metric(service, "godwit_config_loads_total")

    def counted(self, vip):
        """The reads of the two accounts that a vipservice knows."""
        return sum((self.world.vips_of(each, vip) or {"reads": 0})["reads"] for each in VIPS)

    def finish(self):
        """The nodes are all back: nothing was lost or counted twice, and no reader noticed."""
        for reader in self.readers:
            reader.wait_answered(50)
            reader.stop()
        self.settle()
        for reader, account_id in zip(self.readers, VIPS):
            books = f"{account_id}: {self.world.vips_of(account_id, self.vips[0])}; {reader}"
            print(books)
            assert not reader.errors, reader.errors[:3]
            assert not reader.refused and not reader.undecided and not reader.absent, books
            assert self.world.vips_of(account_id, self.vips[0])["reads"] == reader.answered, books
