# SPDX-License-Identifier: MIT
"""The network between a client and the broker fails in all the ways that networks have."""
import time

import pytest


HEARTBEAT_S = 2
NOTICE_S = 2 * HEARTBEAT_S + 3  # twice the heartbeat, and what a busy machine takes


@pytest.fixture
def linked(scene):
    """A publisher and a consumer, each behind a proxy of its own, under load."""
    scene.to_publisher = scene.proxy()
    scene.to_consumer = scene.proxy()
    scene.pub = scene.publisher(proxy=scene.to_publisher, heartbeat=HEARTBEAT_S).start()
    scene.con = scene.consumer(proxy=scene.to_consumer, heartbeat=HEARTBEAT_S).start()
    scene.settle()
    return scene


def test_without_a_fault(linked):
    """The measure for the others: nothing is sent or handled twice."""
    linked.wait_handled(500)
    linked.finish()
    assert linked.ledger.duplicates() == 0


def test_resets(linked):
    """Both sides lose their connections again and again, in the middle of everything."""
    for _ in range(8):
        linked.wait_handled(linked.rng.randrange(20, 200))
        linked.rng.choice([linked.to_publisher, linked.to_consumer]).reset()
    linked.to_publisher.reset()
    linked.to_consumer.reset()
    linked.finish()


@pytest.mark.parametrize("direction", ["to_broker", "to_client"])
def test_cut_in_the_middle_of_a_frame(linked, direction):
    """The connection is reset after some bytes, wherever that is in a frame."""
    for proxy in (linked.to_publisher, linked.to_consumer):
        for _ in range(3):
            n_accepted = proxy.n_accepted
            getattr(proxy, direction).cut_after(linked.rng.randrange(1, 3000))
            linked.until(lambda: proxy.n_accepted > n_accepted, 60, "a new connection")
        proxy.heal()
    linked.finish()


@pytest.mark.parametrize("who, direction", [
    ("publisher", "to_broker"),
    pytest.param("publisher", "to_client", marks=pytest.mark.long),
    pytest.param("consumer", "to_broker", marks=pytest.mark.long),
    ("consumer", "to_client"), ("both", "both")])
def test_black_hole(linked, who, direction):
    """Bytes go nowhere, and nobody says so: the client notices within two heartbeats."""
    clients = {linked.pub: linked.to_publisher, linked.con: linked.to_consumer}
    if who != "both":
        clients.pop(linked.con if who == "publisher" else linked.pub)
    marks = {client: client.mark() for client in clients}
    start = time.monotonic()
    for proxy in clients.values():
        proxy.refuse()  # what there is becomes a hole, and there is no other way
        for name in ("to_broker", "to_client"):
            getattr(proxy, name).black_hole = direction in (name, "both")
    for client in clients:
        at, _ = client.wait("state connecting", NOTICE_S + 5, marks[client])
        assert at - start < NOTICE_S, f"{client.name} noticed only after {at - start:.1f} s"
    for proxy in clients.values():
        proxy.heal()
    linked.finish(ordered=who != "both")


@pytest.mark.long
def test_a_hole_that_new_connections_fall_into(linked):
    """Connecting goes nowhere either; when the hole is gone it goes on."""
    marks = {client: client.mark() for client in (linked.pub, linked.con)}
    for proxy in (linked.to_publisher, linked.to_consumer):
        proxy.to_client.black_hole = True
        proxy.reset()
    for client, mark in marks.items():
        client.wait("state connecting", 20, mark)
    linked.until(lambda: linked.to_publisher.n_accepted >= 2 and linked.to_consumer.n_accepted >= 4,
               60, "a connection into the hole")
    for proxy in (linked.to_publisher, linked.to_consumer):
        proxy.heal()
    linked.finish()


def test_slow(linked):
    """A fifth of a second each way: the order stays, and nobody gives up."""
    for proxy in (linked.to_publisher, linked.to_consumer):
        proxy.to_broker.delay_s = proxy.to_client.delay_s = 0.2
    marks = [client.mark() for client in (linked.pub, linked.con)]
    linked.wait_handled(500)
    assert not linked.pub.said("state", marks[0]) and not linked.con.said("state", marks[1])
    for proxy in (linked.to_publisher, linked.to_consumer):
        proxy.heal()
    linked.finish()
    assert linked.ledger.duplicates() == 0


def test_narrow(linked):
    """Less goes through than is published: it waits in the outbox, and heartbeats still pass."""
    mark = linked.pub.mark()
    linked.to_publisher.to_broker.bytes_per_s = 20000
    linked.wait_handled(500)
    assert not linked.pub.said("state", mark)
    linked.to_publisher.heal()
    linked.finish()
    assert linked.ledger.duplicates() == 0


def test_single_bytes(linked):
    """Every frame comes in as many pieces as it has bytes."""
    for proxy in (linked.to_publisher, linked.to_consumer):
        proxy.to_broker.slice_bytes = proxy.to_client.slice_bytes = 1
        proxy.reset()  # the handshake too
    linked.wait_handled(150)
    for proxy in (linked.to_publisher, linked.to_consumer):
        proxy.heal()
    linked.finish()


def test_flapping(linked):
    """Up for half a second, away for half a second."""
    for _ in range(4):
        for proxy in (linked.to_publisher, linked.to_consumer):
            proxy.flap(1, 0.3, 0.2)
    linked.finish()
