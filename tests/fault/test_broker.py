# SPDX-License-Identifier: MIT
"""The broker is stopped, restarted, killed and paused, runs out of memory, and ends connections."""
import contextlib
import time

import pytest


@pytest.fixture
def loaded(victim_scene):
    """A publisher, with its outbox as services have it, and a consumer under load, on the broker
    that may be broken."""
    victim_scene.pub = victim_scene.publisher(
        level="process", dir=victim_scene.path("outbox")).start()
    victim_scene.con = victim_scene.consumer().start()
    victim_scene.settle()
    return victim_scene


@contextlib.contextmanager
def noticed(scene, state="connecting"):
    """Both clients notice what is done inside."""
    marks = {client: client.mark() for client in (scene.pub, scene.con)}
    yield
    for client, mark in marks.items():
        client.wait(f"state {state}", 30, mark)


def test_stopped_and_started(loaded):
    """In order, and started again only when both clients have seen it; publishing goes on."""
    with noticed(loaded):
        loaded.node.stop()
    mark = len(loaded.ledger.read().accepted)
    loaded.until(lambda: len(loaded.ledger.read().accepted) > mark + 500, 30,
               "publishing while the broker is away")
    loaded.node.start(die_with_parent=True)
    loaded.finish()


def test_killed(loaded):
    """What it had confirmed it still has; what it had not is sent again."""
    with noticed(loaded):
        loaded.node.kill()
    loaded.node.start(die_with_parent=True)
    loaded.finish()


@pytest.mark.long
def test_restarted(loaded):
    """The broker's application, inside its Erlang machine: as after an upgrade of a plugin."""
    with noticed(loaded):
        loaded.rabbitmqctl("eval", "rabbit:stop(), rabbit:start(), "
                                   "application:ensure_all_started(rabbitmq_management).")
    loaded.finish()


@pytest.fixture
def paused(loaded):
    """A function that stops the node with SIGSTOP; it goes on when the test is over."""
    yield loaded.node.pause
    loaded.node.resume()


def test_paused_for_a_moment(loaded, paused):
    """SIGSTOP, for less than the heartbeats need to notice: nobody reconnects."""
    marks = [client.mark() for client in (loaded.pub, loaded.con)]
    paused()
    time.sleep(1)  # this is the fault, not a wait for something
    loaded.node.resume()
    loaded.wait_handled()
    assert not loaded.pub.said("state", marks[0]) and not loaded.con.said("state", marks[1])
    loaded.finish()
    assert loaded.ledger.duplicates() == 0


def test_paused_until_it_is_noticed(loaded, paused):
    """The kernel still takes connections for it, and nothing answers."""
    with noticed(loaded):
        paused()
    loaded.node.resume()
    loaded.finish(ordered=False)  # old and new connections overlap, as behind a black hole


def test_memory_alarm(loaded):
    """The broker takes nothing: the publisher says blocked and keeps it, consumers go on."""
    loaded.con.ask("unsubscribe", "unsubscribed")
    loaded.until(lambda: loaded.queues().get("q", 0) >= 300, 30, "300 messages in the queue")
    since = loaded.pub.mark()
    loaded.rabbitmqctl("set_vm_memory_high_watermark", "absolute", "1")
    try:
        loaded.pub.wait("state blocked", 30, since)
        loaded.con.ask("subscribe", "subscribed ok")
        loaded.wait_handled(300)
        mark = len(loaded.ledger.read().accepted)
        loaded.until(lambda: len(loaded.ledger.read().accepted) > mark + 200, 30,
                   "publishing goes on while blocked")
        assert loaded.pub.last_state().startswith("blocked"), loaded.pub.last_state()
    finally:
        loaded.rabbitmqctl("set_vm_memory_high_watermark", "0.7")
    loaded.pub.wait("state up", 30, since)
    loaded.finish()


def test_connections_closed_by_the_operator(loaded):
    """Through the management pages, each of them; the log has the operator's words."""
    names = loaded.until(lambda: len(found := loaded.connection_names()) == 3 and found, 30,
                         "connections in the management pages")
    with noticed(loaded):
        for name in names:
            loaded.close_connection(name, "maintenance at noon")
    for client in (loaded.pub, loaded.con):
        client.wait_up()
        with open(client.log_path, encoding="utf-8") as log:
            assert "maintenance at noon" in log.read()
    loaded.wait_handled()
    loaded.finish()
