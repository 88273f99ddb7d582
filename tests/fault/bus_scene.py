# SPDX-License-Identifier: MIT
"""The world of a fault test on the embedded bus: clients under load, and a directory."""
import json
import os
import signal
import subprocess
import types

from clients import Clients
from ledger import LedgerError
from lives import Life


class BusScene(Clients):
    """A test's clients on a bus of their own, and checks at its end that all is as it should be."""

    def __init__(self, directory, program, godwit, rng):
        super().__init__(directory, program, rng)
        self.godwit = godwit
        self.bus = self.path("bus")
        self.lives = []   # of subscriptions to exchanges
        self._ended = {}  # client: how much of its journal is of lives that have ended

    @property
    def url(self):
        return f"bus:{self.bus}"

    @property
    def fds_more(self):
        """Two processes can have a second connection with each other, when one that looked after
        another's end was killed meanwhile."""
        return sum(client.is_running for client in self.clients)

    def where(self):
        return f"the bus has\n{self.run('bus', 'list', self.bus, check=False)}"

    def publisher(self, name="p", queue="q", prefix=(), **args):
        """A publisher, not started, with a directory of its own if its level needs one."""
        return super().publisher(name, queue, prefix, **self._with_dir(name, args))

    def consumer(self, name="c", queue="q", prefix=(), **args):
        """A consumer, as publisher()."""
        return super().consumer(name, queue, prefix, **self._with_dir(name, args))

    def _with_dir(self, name, args):
        return {"dir": self.path(f"outbox-{name}"), **args} if "level" in args else args

    # ---- what happens to the clients ----

    def kill(self, *clients):
        """All of them at once, as a crash would; the next life of a publisher goes on with the next
        number."""
        for client in clients:
            client.may_end = True
            client.signal(signal.SIGKILL)
        for client in clients:
            client.wait_end()
            if client.role == "publish":
                client.args["first"] = self.ledger.published[client.name].killed(client.name)
        self.ledger.read()
        for client in clients:
            if client.role == "consume":
                self._ended[client] = len(self.ledger.consumed[client.name].handled)
        for life in self.lives:
            if life.client in clients and not life.has_ended:
                life.end()

    def joined(self, client, keys=None):
        """Wait until the consumer of an exchange that was started is up: from then on it has to get
        what is published with these routing keys, None: everything."""
        client.ask_up()
        start = self._ended.get(client, 0)
        self.ledger.read()
        self.lives.append(Life(client, self.ledger, start, keys))

    # ---- the course of a test ----

    def settle(self):
        """Everything runs: keep what the processes have now, to compare with at the end."""
        for client in self.clients:
            client.ask_up()
        self.wait_handled()
        self.keep_resources()


    def finish(self, ordered=True, marked=True):
        """The end of a test that went well: nothing lost, nothing left over, all as before.

        `marked`: what comes twice says so, which no loss of power has made it forget.
        """
        self.quiesce()
        self.wait_lives()
        self.check(ordered, marked)
        self.check_resources()
        self.stop_all()
        for queue in sorted(self.queues()):
            self._check_nothing_left(queue, marked)
        self.check(ordered, marked)
        left = [queue for queue in self.list() if not queue["queue"].endswith(".dead")
                and (queue["temporary"] or queue["consumers"] or queue["ready"] + queue["leased"])]
        assert not left, left

    def queues(self):
        """The work queues that were published to."""
        return {queue for client in self.clients
                if client.role == "publish" and "exchange" not in client.args
                for queue in client.args["queue"].split(",")}

    def wait_lives(self):
        """The subscriptions have all that came for them."""
        def behind():
            self.ledger.read()
            return [error for life in self.lives if not life.has_ended and (error := life.error())]

        self.until(lambda: not behind(), 60, "each subscription's having all that it has to get")

    def check(self, ordered=True, marked=True):
        """Nothing is lost or made up; what comes twice is marked."""
        self.ledger.read().check(ordered)
        if marked:
            self.ledger.check_marked()
        for life in self.lives:
            if error := life.error():
                raise LedgerError(error)

    def _check_nothing_left(self, queue, marked):
        """All others have stopped: what the queue still has was handled before, by one that died
        before it said so."""
        last = self.publisher(f"last-{queue}", queue, count=1).start()
        last.wait("done")
        late = self.consumer(f"late-{queue}", queue).start()
        handled = self.ledger.consumed[late.name]
        key = f"last-{queue}-1"
        self.until(lambda: any(it.key == key for it in handled.read().handled), 30,
                   f"the last message of {queue}")
        left = [it for it in handled.handled if not it.redelivered and it.key != key]
        assert not marked or not left, f"{queue} had more: {left[:3]}"
        last.stop()
        late.stop()

    # ---- looking ----

    def run(self, *arguments, check=True):
        """What the program godwit prints."""
        done = subprocess.run([*self.prefix, self.godwit, *arguments], cwd=self.directory,
                              timeout=60, check=False, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL,
                              env={**self.environment(), "GODWIT_AMQP_SERVER_URL": self.url})
        assert not check or done.returncode == 0, (arguments, done.returncode, done.stderr)
        return done.stdout + ("" if check else done.stderr)

    def list(self):
        """What `godwit bus list` says of each queue."""
        return [json.loads(line) for line in
                self.run("bus", "list", "--json", self.bus).splitlines()]

    def temporary_queues(self):
        """The names of those that belong to subscriptions."""
        return {queue["queue"] for queue in self.list() if queue["temporary"]}

    def letters(self, queue="q"):
        """The dead letters that there are now; they stay. As Scene.dead_letters() has them."""
        found = [json.loads(line) for line in
                 self.run("dead", "export", queue, check=False).splitlines()
                 if line.startswith("{")]
        return [(types.SimpleNamespace(headers=letter["headers"],
                                       message_id=letter["properties"]["message_id"]),
                 letter["body"]) for letter in found]

    def dead_letters(self, count, queue="q"):
        """Wait until there are so many dead letters. The ledger hears of them."""
        self.until(lambda: len(self.letters(queue)) >= count, 60, f"{count} dead letters")
        found = self.letters(queue)
        assert len(found) == count, found
        self.ledger.elsewhere |= {body.split(" ")[0] for _, body in found}
        return found
