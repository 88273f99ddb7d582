# SPDX-License-Identifier: MIT
"""The client itself is paused, killed, stopped under load, and joined by others."""
import os
import re
import signal

import pytest

from ledger import Consumed


LEVELS = ["memory", "process", "disk"]
KILLS = 10
KILLS_LONG = 200


def outbox(scene, level, name="p"):
    """The flags of a level."""
    where = {} if level == "memory" else {"dir": scene.path(f"outbox-{name}")}
    return {"level": level, **where}


# ---- paused ----------------------------------------------------------------------------------

def test_paused_for_longer_than_the_broker_waits(scene):
    """SIGSTOP, until the broker has given both up; then they go on where they were."""
    pub = scene.publisher().start()
    con = scene.consumer().start()
    scene.settle()
    for client in (pub, con):
        client.signal(signal.SIGSTOP)
    scene.until(lambda: not scene.held()["connections"], 40, "the broker's giving up")
    for client in (pub, con):
        client.signal(signal.SIGCONT)
    scene.wait_handled()
    scene.finish()


# ---- killed ----------------------------------------------------------------------------------

def rounds_of(scene, is_long):
    """How many times to kill, and what is told about it."""
    n_rounds = KILLS_LONG if is_long else KILLS
    print(f"{n_rounds} rounds")
    return n_rounds


@pytest.mark.parametrize("level", ["process", "disk"])
def test_publisher_killed_at_random_points(scene, level, is_long, progress):
    """kill -9, again and again, with and without a broker: all that was accepted arrives, in order.

    At `disk` too: what survives power loss survives the end of the process.
    """
    scene.consumer().start().wait_up()
    proxy = scene.proxy()
    published, first = None, 1
    n_rounds = rounds_of(scene, is_long)
    for number in range(1, n_rounds + 1):
        proxy.heal()
        if scene.rng.random() < 0.3:  # all of this life stays in the outbox
            proxy.refuse()
        pub = scene.publisher(proxy=proxy, first=first, rate=scene.rng.choice([300, 3000]),
                              **outbox(scene, level))
        published = scene.ledger.published["p"]
        n_before = len(published.accepted)
        n_life = scene.rng.randrange(400)
        pub.start()
        if n_life % 4 == 0:  # while it opens what the life before it left
            scene.until(lambda: pub.said("state"), 30, "a first word")
        else:
            scene.until(lambda: len(published.read().accepted) >= n_before + n_life, 60,
                       f"{n_life} accepted messages\n{pub.tail()}")
        pub.kill()
        first = published.killed("p")
        progress(f"round {number} of {n_rounds}, {len(published.accepted)} accepted")
    proxy.heal()
    pub = scene.publisher(proxy=proxy, first=first, count=100, **outbox(scene, level)).start()
    pub.wait("done", 60)
    scene.finish()


@pytest.mark.parametrize("level", ["process", "disk"])
def test_publisher_killed_with_a_long_backlog(scene, level, is_long, progress):
    """kill -9 while more than the outbox's ring holds moves to its store, and while that drains."""
    proxy = scene.proxy()
    consumed = Consumed(scene.path("c.journal"))
    scene.consumer().start().wait_up()
    published = None
    n_lives = 20 if is_long else 4
    first = 1
    proxy.refuse()
    for number in range(n_lives):
        pub = scene.publisher(proxy=proxy, first=first, rate=0, size=4000, **outbox(scene, level))
        published = scene.ledger.published["p"]
        n_wanted = len(published.accepted) + scene.rng.randrange(1000, 12000)
        pub.start()
        scene.until(lambda: len(published.read().accepted) >= n_wanted, 60, "a backlog")
        pub.kill()
        first = published.killed("p")
        progress(f"{len(published.accepted)} accepted, life {number + 1}")
    proxy.accept()
    n_backlog = len(published.accepted)
    while len(consumed.read().handled) < n_backlog * 3 // 4:
        pub = scene.publisher(proxy=proxy, first=first, rate=100, **outbox(scene, level)).start()
        n_wanted = len(consumed.handled) + scene.rng.randrange(1, n_backlog // 4)
        scene.until(lambda: len(consumed.read().handled) >= n_wanted, 60, "more of the backlog")
        pub.kill()
        first = published.killed("p")
        progress(f"{len(consumed.handled)} of {n_backlog} handled")
    scene.publisher(proxy=proxy, first=first, count=10, **outbox(scene, level)).start().wait("done")
    scene.finish()


def test_consumer_killed_at_random_points(scene, is_long, progress):
    """kill -9: what was not acknowledged comes again, to another or to the next life."""
    scene.publisher(rate=1000).start().wait_up()
    other = scene.consumer("other", slow_ms=2).start()
    con = scene.consumer()
    n_rounds = rounds_of(scene, is_long)
    for number in range(1, n_rounds + 1):
        con.start()
        consumed = scene.ledger.consumed["c"]
        n_wanted = len(consumed.read().handled) + scene.rng.randrange(1, 400)
        scene.until(lambda: len(consumed.read().handled) >= n_wanted, 60,
                   f"{n_wanted} handled messages\n{con.tail()}")
        con.kill()
        progress(f"round {number} of {n_rounds}, {len(consumed.handled)} handled")
    assert other.is_running
    scene.finish()


# ---- stopped ---------------------------------------------------------------------------------

@pytest.mark.parametrize("level", LEVELS)
def test_publisher_stopped_at_full_speed(scene, level):
    """SIGTERM while it publishes as fast as it can: the outbox is sent, nothing is sent twice."""
    pub = scene.publisher(rate=0, **outbox(scene, level)).start()
    scene.consumer().start()
    scene.wait_handled(2000)
    pub.signal(signal.SIGTERM)
    assert pub.wait_end(60) == 0, pub.tail()
    scene.finish()
    assert scene.ledger.duplicates() == 0


@pytest.mark.parametrize("level", ["process", "disk"])
def test_publisher_stopped_while_the_broker_is_away(scene, level):
    """What cannot be sent in time stays in the outbox, is counted, and is sent by the next life."""
    proxy = scene.proxy()
    pub = scene.publisher(proxy=proxy, **outbox(scene, level)).start()
    scene.consumer().start()
    scene.settle()
    proxy.refuse()
    proxy.reset()
    published = scene.ledger.published["p"]
    n_wanted = len(published.read().accepted) + 300
    scene.until(lambda: len(published.read().accepted) >= n_wanted, 30,
                "publishing without a broker")
    pub.stop(timeout_s=1)
    with open(pub.log_path, encoding="utf-8") as log:
        assert re.search(r"[1-9]\d* messages stay in the outbox", log.read()), pub.tail()
    proxy.accept()
    scene.publisher(proxy=proxy, first=published.read().last + 1, count=10,
                    **outbox(scene, level)).start().wait("done")
    scene.finish()


def test_consumer_stopped_under_load(anywhere):
    """SIGTERM: what it has handled is acknowledged, the rest goes to the other one."""
    anywhere.publisher(rate=1000).start()
    con = anywhere.consumer("c", slow_ms=1).start()
    anywhere.consumer("other", slow_ms=1).start()
    anywhere.settle()
    for _ in range(3):
        con.signal(signal.SIGTERM)
        assert con.wait_end(30) == 0, con.tail()
        con.start().wait_up()
        anywhere.wait_handled(500)
    anywhere.finish()
    assert anywhere.ledger.duplicates() == 0


def test_subscriptions_that_end_under_load(anywhere):
    """gw_unsubscribe() and subscribing again: as stopping, and the connection stays."""
    anywhere.publisher(rate=1000).start()
    con = anywhere.consumer(slow_ms=1).start()
    anywhere.settle()
    for _ in range(5):
        con.ask("unsubscribe", "unsubscribed")
        con.ask("subscribe", "subscribed ok")
        anywhere.wait_handled(200)
    anywhere.finish()
    assert anywhere.ledger.duplicates() == 0


# ---- more and fewer --------------------------------------------------------------------------

def test_scaling_a_work_queue_from_1_to_3_to_1(anywhere):
    """Those that join get their share, those that leave take nothing with them."""
    anywhere.publisher(rate=1000).start()
    anywhere.consumer("c1", slow_ms=1).start()
    anywhere.settle()
    joined = [anywhere.consumer(name, slow_ms=1).start() for name in ("c2", "c3")]
    for client in joined:
        handled = anywhere.ledger.consumed[client.name]
        anywhere.until(lambda: len(handled.read().handled) >= 300, 60, f"a share for {client.name}")
    for client in joined:
        client.stop()
    anywhere.wait_handled(500)
    anywhere.finish()
    assert anywhere.ledger.duplicates() == 0


def test_many_publishers_and_queues(scene):
    """Three publishers to three queues each, and resets all the time: each keeps its order."""
    proxy = scene.proxy()
    for name in ("p1", "p2", "p3"):
        scene.publisher(name, queue="a,b,c", proxy=proxy, rate=400).start()
    for queue in ("a", "b", "c"):
        scene.consumer(f"c-{queue}", queue, proxy=proxy).start()
    scene.settle()
    for _ in range(5):
        scene.wait_handled(400)
        proxy.reset()
    scene.finish()


def test_a_second_user_of_the_outbox_is_refused(scene):
    """Its directory belongs to one process at a time; the refusal names the one that has it."""
    flags = outbox(scene, "process")
    pub = scene.publisher(**flags).start().wait_up()
    scene.consumer().start()
    second = scene.publisher("second", **flags).start()
    assert second.wait_end() == 1, second.tail()
    said = second.said("failed ")
    assert said and str(pub.pid) in said[0] and os.path.basename(flags["dir"]) in said[0], said
    scene.wait_handled()
    scene.finish()
