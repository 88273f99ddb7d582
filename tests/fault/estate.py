# SPDX-License-Identifier: MIT
"""The whole system with several of each service, and its invariant.

Every 200 for a VIP account is one counted read in vipservice's store, once all has recovered.
"""
import os
import re
import urllib.parse

import processes
from disks import fill, own_namespace
from world import eventually

QUEUE = "vip_queue"
VIP = "10000"


class SmallDisk:
    """A tmpfs for one program: in a mount namespace of its own, seen from here through /proc."""

    def __init__(self, path, size_mib):
        os.makedirs(path)
        self.path = path
        self.prefix = own_namespace(f'mount -t tmpfs -o size={size_mib}m,mode=700 none "$0"', path)

    def fill(self, service, leave_kib):
        """Take its space but for so much; returns what gives it back."""
        ballast = f"/proc/{service.pid}/root{self.path}/ballast"
        fill(ballast, leave_kib << 10)
        return lambda: os.unlink(ballast)


def url_through(world, proxy):
    """The broker's URL for one who connects through a proxy."""
    vhost = urllib.parse.quote(world.vhost, safe="")
    return f"amqp://guest:guest@127.0.0.1:{proxy.port}/{vhost}"


def check_tap(tap, counted):
    """As many ids as the broker was given, so each of them once."""
    eventually(lambda: len(tap.ids) >= counted, 30, "the tap's end")
    print(f"{tap.n_published} published with {len(tap.ids)} ids")
    assert len(tap.ids) == counted, f"{len(tap.ids)} ids published, {counted} counted"


class Estate:
    """A World's accountservices and vipservices by number. Each has a port, and with it the
    directory of its outbox, that it keeps when it is started again."""

    def __init__(self, world, *, n_accounts=2, n_vips=3, account_settings=None,
                 vip_settings=None, **settings):
        self.world = world
        self.account_settings = {**settings, **(account_settings or {})}
        self.vip_settings = {**settings, **(vip_settings or {})}
        ports = processes.free_ports(n_accounts + n_vips)
        self.account_ports, self.vip_ports = ports[:n_accounts], ports[n_accounts:]
        self.accounts = [None] * n_accounts
        self.vips = [None] * n_vips

    def start(self, n_vips=None):
        """All, or so many of the vipservices; waits until they are healthy."""
        self.world.start_config()
        for number in range(len(self.accounts)):
            self.start_account(number)
        for number in range(len(self.vips) if n_vips is None else n_vips):
            self.start_vip(number)
        self.wait_healthy()
        return self

    def start_account(self, number):
        """Start an accountservice, or start it again."""
        self.accounts[number] = self.world.client(
            "accountservice", self.account_ports[number], **self.account_settings).start()
        return self.accounts[number]

    def start_vip(self, number):
        """Start a vipservice, or start it again."""
        self.vips[number] = self.world.client(
            "vipservice", self.vip_ports[number], **self.vip_settings).start()
        return self.vips[number]

    @property
    def running(self):
        """All services that were started and have not ended."""
        return [service for service in (*self.accounts, *self.vips)
                if service and service.exit_code is None]

    def wait_healthy(self, timeout_s=60):
        """Wait for all that run."""
        for service in self.running:
            service.wait_healthy(timeout_s)

    def stop(self, service):
        """Ask it to stop; it must end with status 0."""
        code = service.stop(30)
        assert code == 0, f"{service.name} ended with {code}:\n{service.tail()}"

    # ---- the books ----

    def metric(self, service, name):
        """A number of a service's /metrics, labels added up; 0 when it is not there."""
        text = self.world.get("/metrics", service.port).text
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.M))

    def counted(self, vip):
        """The reads of the VIP that a vipservice knows."""
        found = self.world.vips_of(VIP, vip)
        return found["reads"] if found else 0

    def settle(self, timeout_s=90):
        """Wait until nothing is on its way any more; returns the number of counted reads.

        The outboxes are empty, then the queue is, with what was at a consumer put back.
        """
        for account in self.accounts:
            if account and account.exit_code is None:
                eventually(lambda a=account: self.metric(a, "godwit_outbox_messages") == 0,
                           timeout_s, f"an empty outbox of {account.name}")
        while True:
            eventually(lambda: self.world.queue_length(QUEUE) == 0, timeout_s, "an empty queue")
            for vip in self.vips:
                if vip and vip.exit_code is None:
                    self.stop(vip)
            is_done = self.world.queue_length(QUEUE) == 0
            last = self.start_vip(0).wait_healthy(timeout_s)
            if is_done:
                break
        assert not self.world.queue_length(f"{QUEUE}.dead"), "a notification is a dead letter"
        return self.counted(last)

    def check(self, readers, tap=None):
        """Nothing lost, nothing twice. Returns the number of counted reads."""
        counted = self.settle()
        books = f"{counted} counted; {readers}"
        print(books)
        assert not readers.errors, readers.errors[:3]
        assert readers.answered <= counted <= readers.answered + readers.undecided, books
        if tap:
            check_tap(tap, counted)
        return counted
