# SPDX-License-Identifier: MIT
"""The programs of one test, on the embedded bus or on a broker; pika's own view of the latter."""
import contextlib
import json
import os
import time
import urllib.parse

import pika
import pytest
import requests

import processes
import system
from bus_tool import BUS_URL, BusTool
from service import Service

HOST = "127.0.0.1"
MESSAGE = "Got a message: "
BUS, RABBITMQ = "bus", "rabbitmq"  # what can carry the messages

# Marks of tests; those without one run on RabbitMQ.
ON_BOTH = pytest.mark.parametrize("carrier", [BUS, RABBITMQ], indirect=True)
ON_BUS = pytest.mark.parametrize("carrier", [BUS], indirect=True)


def eventually(check, timeout_s=10.0, what="what is waited for"):
    """Call until it returns something true; returns that. Fails after the time."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s:g} s"
        time.sleep(0.02)


class World:
    """One test's directory, virtual host, configuration repository and programs.

    `carrier` says what those that are started from now on use: a test may change it in between.
    """

    def __init__(self, directory, programs, broker, name):
        self.directory = str(directory)
        self.programs = programs
        self.carrier = RABBITMQ if broker else BUS
        self.broker = broker
        self.bus = BusTool(self)
        self.vhost = "".join(c if c.isalnum() else "-" for c in name)[:60]
        self.repository = os.path.join(self.directory, "config")
        self.config_port, self.account_port = processes.free_ports(2)
        self.config = self.account = None
        self.vips = []
        self._all = []
        self._killed = set()
        os.makedirs(os.path.join(self.directory, "logs"))
        system.make_config_repository(self.repository)
        if broker:
            self.make_vhost(broker)

    # ---- the broker ----

    def make_vhost(self, broker):
        """An empty virtual host, so that no test sees another's queues."""
        url = f"{broker.management_url}/api/vhosts/{self.vhost}"
        requests.delete(url, auth=("guest", "guest"), timeout=10)
        assert requests.put(url, auth=("guest", "guest"), timeout=10).status_code < 300
        self.broker = broker

    @property
    def broker_url(self):
        """Of what carries the messages."""
        return self.amqp_url if self.carrier == RABBITMQ else BUS_URL

    @property
    def amqp_url(self):
        """Of this test's virtual host."""
        return self.url_for("guest")

    def url_for(self, password):
        """The same with another password."""
        return (f"amqp://guest:{password}@{HOST}:{self.broker.ports.amqp}/"
                f"{urllib.parse.quote(self.vhost, safe='')}")

    @contextlib.contextmanager
    def channel(self):
        """A pika channel, as an independent peer's."""
        conn = pika.BlockingConnection(pika.URLParameters(self.amqp_url))
        try:
            yield conn.channel()
        finally:
            if conn.is_open:
                conn.close()

    def send(self, body, queue="vip_queue", exchange="", **properties):
        """Publish a message with pika; it must be routed, and the broker must confirm it. On the bus,
        with the tool."""
        if self.carrier == BUS:
            self.bus.send(body, queue, exchange, **properties)
            return
        with self.channel() as channel:
            channel.confirm_delivery()
            channel.basic_publish(exchange, queue, body, pika.BasicProperties(**properties),
                                  mandatory=True)

    def ask(self, question, queue):
        """The answer of a channel's method about a queue; None while there is no such queue."""
        with self.channel() as channel:
            try:
                return question(channel, queue)
            except pika.exceptions.ChannelClosedByBroker as closed:
                if closed.reply_code != 404:
                    raise
                return None

    def take(self, queue, timeout_s=10.0):
        """Wait for a message in a queue: (properties, body)."""
        def get(channel, name):
            method, properties, body = channel.basic_get(name, auto_ack=True)
            return (properties, body) if method else None

        return eventually(lambda: self.bus.take(queue) if self.carrier == BUS
                          else self.ask(get, queue), timeout_s, f"a message in {queue}")

    def queue_length(self, queue):
        """How many messages wait in a queue, those at a consumer not counted; None without it."""
        if self.carrier == BUS:
            return self.bus.queues().get(queue, {}).get("ready")
        return self.ask(lambda channel, name: channel.queue_declare(
            name, passive=True).method.message_count, queue)

    def consumers(self, queue):
        """How many consume from a queue; None without it."""
        if self.carrier == BUS:
            return self.bus.queues().get(queue, {}).get("consumers")
        return self.ask(lambda channel, name: channel.queue_declare(
            name, passive=True).method.consumer_count, queue)

    # ---- the programs ----

    def environment(self, **settings):
        """What a program gets: nothing of the caller's but the path."""
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", processes.MARK: self.directory}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                env[name] = os.environ[name]
        settings.setdefault("server_address", HOST)
        env.update({f"GODWIT_{key.upper()}": str(value)
                    for key, value in settings.items() if value is not None})
        return env

    def program(self, name, port, *arguments, prefix=(), label=None, **settings):
        """A program, not started. Settings are its configuration keys."""
        label = label or f"{name}-{len(self._all)}"
        service = Service(label, [*prefix, os.path.join(self.programs, name), *arguments], port,
                          cwd=self.directory, env=self.environment(**settings),
                          log_path=os.path.join(self.directory, "logs", f"{label}.log"))
        self._all.append(service)
        return service

    def client(self, name, port, **settings):
        """accountservice or vipservice with the usual flags, not started."""
        values = {"server_port": port, "amqp_server_url": self.broker_url}
        values.update(settings)
        prefix = values.pop("prefix", ())
        return self.program(name, port, "-configServerUrl", f"http://{HOST}:{self.config_port}",
                            "-profile", "test", "-configBranch", "main", prefix=prefix, **values)

    def start_config(self, wait=True, **settings):
        """Start configserver on this test's repository."""
        self.config = self.program("configserver", self.config_port, "-repo", self.repository,
                                   "-port", str(self.config_port),
                                   **{"amqp": self.broker_url, **settings}).start()
        if wait:
            self.config.wait_healthy()
        return self.config

    def start_account(self, **settings):
        """Start accountservice."""
        self.account = self.client("accountservice", self.account_port, **settings).start()
        return self.account

    def stop_vips(self):
        """Stop all vipservices; what comes for them waits."""
        for vip in self.vips:
            assert vip.stop() == 0, vip.output()
        self.vips = []

    def start_vips(self, count, **settings):
        """Start so many more vipservices; returns them."""
        new = [self.client("vipservice", port, **settings).start()
               for port in processes.free_ports(count)]
        self.vips += new
        return new

    def wait_healthy(self):
        """Wait for accountservice and the vipservices."""
        for service in [self.account, *self.vips]:
            if service:
                service.wait_healthy()

    def kill(self, service):
        """End a program with SIGKILL; its status is no fault then."""
        self._killed.add(service)
        service.kill()

    def expect_failure(self, service):
        """The program is to end on its own with a failure; returns (status, its output)."""
        self._killed.add(service)
        code = service.wait_end(30)
        return code, service.output()

    def end(self):
        """Stop what runs. Everything must stop with status 0, and promptly."""
        codes = {}
        for service in self._all:
            service.ask_to_stop()
        for service in self._all:
            code = service.wait_end()
            if code not in (0, None) and service not in self._killed:
                codes[service.name] = f"{code}:\n{service.output()}"
        assert not processes.marked(self.directory), "a process was left"
        assert not codes, "not stopped with status 0: " + "\n".join(
            f"{name} {text}" for name, text in codes.items())

    # ---- what a user does ----

    def get(self, path, port=None, **options):
        """GET from accountservice, or from the port."""
        return requests.get(f"http://{HOST}:{port or self.account_port}{path}",
                            timeout=10, allow_redirects=False, **options)

    def read(self, account_id):
        """Read an account that exists."""
        answer = self.get(f"/accounts/{account_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def vips_of(self, account_id, vip=None):
        """What a vipservice has counted for an account; None when nothing."""
        answer = self.get(f"/vips/{account_id}", (vip or self.vips[0]).port)
        return answer.json() if answer.status_code == 200 else None

    def wait_reads(self, account_id, reads, timeout_s=10.0):
        """Wait until exactly so many reads are counted."""
        def counted():
            found = self.vips_of(account_id)
            return found and found["reads"] >= reads

        eventually(counted, timeout_s, f"{reads} counted reads of {account_id}")
        assert self.vips_of(account_id)["reads"] == reads

    def messages(self, vip=None):
        """The notifications printed so far, by one vipservice or all."""
        return [json.loads(line.partition(MESSAGE)[2])
                for service in ([vip] if vip else self.vips) for line in service.matching(MESSAGE)]

    def wait_messages(self, count, timeout_s=10.0):
        """Wait until so many are printed; returns them."""
        eventually(lambda: len(self.messages()) >= count, timeout_s, f"{count} printed messages")
        return self.messages()

    # ---- the configuration ----

    def write_config(self, name, text, message="a change"):
        """Write a file of the repository and commit it."""
        with open(os.path.join(self.repository, name), "w", encoding="utf-8") as file:
            file.write(text)
        system.git(self.repository, "add", "-A")
        system.git(self.repository, "commit", "-q", "--allow-empty", "-m", message)

    def read_config(self, name):
        """The text of a file of the repository."""
        with open(os.path.join(self.repository, name), encoding="utf-8") as file:
            return file.read()

    def set_vip_accounts(self, *accounts):
        """Commit another list of VIP accounts."""
        system.change_vip_accounts(self.repository, accounts)

    def post_monitor(self, *paths):
        """Tell configserver that files changed; returns the names it notified."""
        answer = requests.post(f"http://{HOST}:{self.config_port}/monitor",
                               json={"path": list(paths)}, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()
