# SPDX-License-Identifier: MIT
"""Somebody deletes a queue under load, declares it otherwise, or holds it for himself alone."""
import re

import pika
import pytest

from estate import Estate
from ledger import number_of
from world import eventually

IN_FLIGHT_MAX = 100  # on the wire while a queue is deleted: the prefetch, which is the greater part


@pytest.fixture
def loaded(scene):
    """A publisher and a consumer under load."""
    scene.pub = scene.publisher().start()
    scene.con = scene.consumer().start()
    scene.settle()
    return scene


def forgive(scene, n_deleted):
    """What was in the deleted queues is gone with them, by the will of who deleted them.

    Nothing else is: what was accepted after the last deletion has to arrive.
    """
    last = scene.ledger.read().published["p"].last
    scene.wait_handled(500)
    scene.pub.ask("pause", "paused")
    scene.pub.flush()
    scene.until(lambda: all(number_of(key)[1] <= last for key in scene.ledger.missing()), 60,
               "what was published after the deletion")
    scene.until(lambda: len(scene.ledger.missing()) <= n_deleted + IN_FLIGHT_MAX, 20,
               f"all but the {n_deleted} messages of the deleted queue")
    scene.ledger.lost_by_operator |= scene.ledger.missing()


def test_deleted(loaded):
    """It is declared again, consumed from and published to, and what comes after arrives."""
    n_deleted = 0
    for _ in range(3):
        with loaded.channel() as channel:
            n_deleted += channel.queue_delete("q").method.message_count
        loaded.wait_handled(300)
    forgive(loaded, n_deleted)
    loaded.finish(ordered=False)


def test_deleted_while_many_wait_in_it(loaded):
    """Only those that waited are gone."""
    loaded.con.ask("unsubscribe", "unsubscribed")
    loaded.until(lambda: loaded.queues()["q"] >= 200, 30, "200 messages in the queue")
    with loaded.channel() as channel:
        n_deleted = channel.queue_delete("q").method.message_count
    assert n_deleted >= 200
    loaded.con.ask("subscribe", "subscribed ok")
    forgive(loaded, n_deleted)
    loaded.finish(ordered=False)


def redeclare(scene, queue, arguments):
    """Delete it and declare it otherwise, faster than the clients declare it again. Returns how
    many messages were in it."""
    n_deleted = 0
    for _ in range(100):
        with scene.channel() as channel:
            n_deleted += channel.queue_delete(queue).method.message_count
            try:
                channel.queue_declare(queue, durable=True, arguments=arguments)
                return n_deleted
            except pika.exceptions.ChannelClosedByBroker as closed:
                assert closed.reply_code == 406, closed
    raise AssertionError("the clients were faster each time")


@pytest.mark.parametrize("arguments", [
    pytest.param({"x-message-ttl": 3600000}, id="ttl"),
    pytest.param({"x-queue-type": "quorum"}, id="quorum", marks=pytest.mark.long)])
def test_redeclared_with_other_arguments(loaded, arguments):
    """It is used as it is, with a warning that says so."""
    n_deleted = redeclare(loaded, "q", arguments)
    forgive(loaded, n_deleted)
    for client in (loaded.pub, loaded.con):
        client.wait_up()
    with open(loaded.con.log_path, encoding="utf-8") as log:
        assert "WARN" in (text := log.read()) and "'q'" in text
    loaded.finish(ordered=False)


def test_an_exclusive_queue_that_is_still_held(scene):
    """Nobody else may consume from it, and the client says so until it is free; publishing to it is
    delivering to its holder, as with a queue for replies."""
    with scene.channel() as channel:
        channel.queue_declare("q", exclusive=True)
        con = scene.consumer().start()
        pub = scene.publisher(count=100, rate=0).start()
        _, line = con.wait("state degraded")
        assert "'q'" in line, line
        pub.wait("done")
        pub.flush()
        held = [channel.basic_get("q", auto_ack=True)[2] for _ in range(100)]
        scene.ledger.elsewhere |= {body.decode().split(" ")[0] for body in held}
        assert not scene.ledger.missing()
        assert not scene.ledger.done
    con.wait_up()
    scene.publisher("p2").start()
    scene.wait_handled(300)
    scene.finish()


def test_a_services_queue_for_events_is_deleted(world):
    """As by RabbitMQ, for one on a node that hangs: the connection stays, and whatever was announced
    before the queue was there again is asked for."""
    estate = Estate(world, n_accounts=1, n_vips=0).start()
    service = estate.accounts[0]
    queue = eventually(lambda: re.search(r"'(springCloudBus\.accountservice\.[^']+)'",
                                         service.tail()), 10, "its queue")[1]
    eventually(lambda: estate.metric(service, "godwit_config_loads_total") == 2, 10,
               "what was missed before the queue was there is asked for")
    with world.channel() as channel:
        channel.queue_delete(queue)
    eventually(lambda: estate.metric(service, "godwit_config_loads_total") == 3, 20,
               "the configuration is loaded again")
    service.wait_healthy()
