# SPDX-License-Identifier: MIT
"""Stopping, being killed, and losing the broker: nothing is lost, nothing is counted twice."""
import json
import os
import signal
import threading
import time

import pika
import pytest
import requests

import processes
from world import HOST, ON_BOTH, eventually

NOTE = json.dumps({"accountId": "10000", "readAt": "2026-01-01T00:00:00Z"})


# ---- asked to stop ---------------------------------------------------------------------------

@ON_BOTH
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_every_program_stops_with_status_0(running, number):
    """The original exited with status 1."""
    running.read("10000")
    for service in (running.account, *running.vips, running.config):
        start = time.monotonic()
        os.kill(service.pid, number)
        assert service.wait_end() == 0, service.output()
        assert time.monotonic() - start < 3
        assert service.output().splitlines()[-1].endswith("stopped")
        assert not processes.port_owner(service.port)


@ON_BOTH
def test_requests_in_flight_are_answered(running):
    """Every answer 200 has its notification counted, also when accountservice stops meanwhile."""
    answered = []
    done = threading.Event()

    def read_on():
        with requests.Session() as session:
            while not done.is_set():
                try:
                    answer = session.get(
                        f"http://{HOST}:{running.account_port}/accounts/10000", timeout=5)
                except requests.ConnectionError:
                    return  # it does not listen any more
                if answer.status_code == 200:
                    answered.append(1)

    readers = [threading.Thread(target=read_on) for _ in range(8)]
    for reader in readers:
        reader.start()
    eventually(lambda: len(answered) >= 200)
    assert running.account.stop() == 0, running.account.output()
    done.set()
    for reader in readers:
        reader.join()
    running.wait_reads("10000", len(answered))


@ON_BOTH
def test_a_vipservice_that_stops_leaves_its_messages_to_the_other(running):
    for number in range(200):
        running.read("10000")
        if number == 100:
            running.vips[0].ask_to_stop()
    assert running.vips[0].wait_end() == 0, running.vips[0].output()
    eventually(lambda: running.vips_of("10000", running.vips[1])["reads"] == 200)
    assert len(running.messages()) == 200


@ON_BOTH
def test_messages_wait_for_a_vipservice(running):
    """With all vipservices gone the queue keeps what comes."""
    running.stop_vips()
    for _ in range(5):
        running.read("10000")
    running.send(NOTE)  # with no content type, as the original sends it
    eventually(lambda: running.queue_length("vip_queue") == 6)
    running.start_vips(1)
    running.wait_healthy()
    running.wait_reads("10000", 6)


def test_a_second_signal_ends_a_program_that_cannot_drain(world, own_broker):
    """Messages in memory wait for a broker that is away: the first SIGTERM drains, the second one ends."""
    world.broker = own_broker
    world.start_config(wait=False)
    account = world.start_account(outbox_level="memory")
    account.wait_lines("serving HTTP")
    world.read("10000")
    os.kill(account.pid, signal.SIGTERM)
    account.wait_lines("(?i)stopping|drain|signal")
    assert account.exit_code is None
    start = time.monotonic()

    def ended():  # a second signal within half a second counts as the first one's echo
        account.ask_to_stop()
        return account.exit_code is not None

    eventually(ended, 5)
    code, output = world.expect_failure(account)
    assert code == 128 + signal.SIGTERM and time.monotonic() - start < 3
    assert "exiting at once" in output.splitlines()[-1]
    assert not processes.port_owner(world.account_port)


# ---- killed ------------------------------------------------------------------------------------

def test_a_killed_vipservice_loses_and_doubles_nothing(running):
    """Also of what was delivered to it, or counted by it and not yet acknowledged."""
    victim, other = running.vips
    stop = threading.Event()
    sent = []

    def send_on():
        with running.channel() as channel:
            channel.confirm_delivery()
            while not stop.is_set():
                channel.basic_publish("", "vip_queue", NOTE, mandatory=True,
                                      properties=pika.BasicProperties(message_id=f"m{len(sent)}"))
                sent.append(1)

    sender = threading.Thread(target=send_on)
    sender.start()
    try:
        for _ in range(3):
            eventually(lambda v=victim: len(running.messages(v)) >= 100)
            running.kill(victim)
            victim = running.client("vipservice", victim.port).start().wait_healthy()
    finally:
        stop.set()
        sender.join()
    running.vips = [other]
    running.wait_reads("10000", len(sent))


@ON_BOTH
def test_killed_vipservices_count_each_read_once(running):
    """The system's invariant: a 200 for a VIP account is one counted read."""
    reads = 0
    for _ in range(3):
        for _ in range(100):
            running.read("10000")
            reads += 1
        running.kill(running.vips[0])
        running.vips[0] = running.client("vipservice", running.vips[0].port).start()
    running.wait_healthy()
    running.wait_reads("10000", reads)


@ON_BOTH
def test_a_killed_accountservice_starts_again_at_once(running):
    running.read("10000")
    running.wait_messages(1)
    running.kill(running.account)
    running.start_account().wait_healthy()
    assert running.read("10042")["name"] == "Person_42"  # its store is whole
    running.read("10000")
    running.wait_messages(2)


@ON_BOTH
def test_a_killed_configserver_disturbs_nobody(running):
    running.kill(running.config)
    running.read("10000")
    running.wait_messages(1)
    running.start_config()
    running.set_vip_accounts("10001")
    running.post_monitor("accountservice-test.yml")
    eventually(lambda: running.read("10001") and running.vips_of("10001"))


# ---- the broker --------------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_broker_restarts(world, own_broker, end):
    """Reads go on being answered; what was accepted meanwhile arrives when it is back."""
    own_broker.start(die_with_parent=True)
    world.make_vhost(own_broker)
    world.start_config()
    world.start_account()
    world.start_vips(2)
    world.wait_healthy()
    world.read("10000")
    world.wait_reads("10000", 1)
    getattr(own_broker, end)()
    eventually(lambda: world.get("/health").status_code == 503, 30)
    for _ in range(10):
        world.read("10000")
    own_broker.start(die_with_parent=True)
    for service in (world.account, *world.vips, world.config):
        service.wait_healthy(45)
    world.read("10000")
    world.wait_reads("10000", 12, 30)


def test_a_closed_connection_is_made_again(running):
    """As an operator's "close connection" in the management pages does it."""
    api = running.broker.management_url + "/api/"
    auth = ("guest", "guest")

    def connections():
        found = requests.get(f"{api}vhosts/{running.vhost}/connections", auth=auth, timeout=10)
        return [c["name"] for c in found.json()]

    before = eventually(lambda: connections() if len(connections()) >= 5 else None, 15)
    for name in before:
        requests.delete(f"{api}connections/{requests.utils.quote(name, safe='')}", auth=auth,
                        timeout=10)
    for _ in range(20):
        running.read("10000")
    running.wait_reads("10000", 20, 30)


def test_a_deleted_queue_comes_back(running):
    with running.channel() as channel:
        channel.queue_delete("vip_queue")
    eventually(lambda: running.consumers("vip_queue") == 2, 30, "both consume again")
    running.read("10000")
    running.wait_reads("10000", 1)
