# SPDX-License-Identifier: MIT
"""The embedded bus: its processes are killed, paused and joined by others while all of them work.

Nobody is left when a process is gone but those who share the files with it, so it is they who put
right what it left, under its locks or with its messages leased.
"""
import os
import signal
import time

import pytest

from ledger import number_of

ROUNDS = 30
ROUNDS_LONG = 200
STEADY = "p0"  # the publisher that always has something to publish
DELAY_MAX_S = 2.0  # the bus promises 0.1; the rest is for a machine that is busy with other tests


def pause_for_a_moment(rng):
    """A random time: the fault itself, and no wait for something."""
    time.sleep(rng.random() * 0.1)


def new_pace(client, rng):
    """How the publisher's next life publishes: slowly, fast, or as fast as it goes for a while."""
    client.args.pop("count", None)
    client.args["rate"] = rng.choice([200, 1000, 2000, 0])
    if client.args["rate"] == 0:
        client.args["count"] = rng.randrange(1, 3000)


def kill_some(bus, clients, subscribers=()):
    """Some of the clients are killed, now and then while another is paused; and started again.
    `subscribers` to exchanges are with the routing keys that they get."""
    rng = bus.rng
    paused = rng.choice(clients) if rng.random() < 0.3 else None
    if paused:  # it may have a lock: then all stand still, and nothing can be waited for
        paused.signal(signal.SIGSTOP)
        pause_for_a_moment(rng)
    victims = rng.sample(clients, rng.choice([1, 1, 1, 2, 3]))
    bus.kill(*victims)
    for client in victims:
        if client.role == "publish" and client.name != STEADY:
            new_pace(client, rng)
        client.start()
    if paused and paused not in victims:
        pause_for_a_moment(rng)
        paused.signal(signal.SIGCONT)
    for client in victims:
        if client in subscribers:
            bus.joined(client, subscribers[client])


def rounds(bus, is_long, progress, least=ROUNDS, most=ROUNDS_LONG):
    """For each round, when some messages more have been handled."""
    n_rounds = most if is_long else least
    print(f"{n_rounds} rounds")
    for number in range(1, n_rounds + 1):
        bus.wait_handled(bus.rng.randrange(1, 300))
        progress(f"round {number} of {n_rounds}, {len(bus.ledger.accepted)} accepted")
        yield number


# ---- at random -------------------------------------------------------------------------------

def work_queues(bus, **flags):
    """Four publishers on three queues each, four consumers, two of them on one queue."""
    publishers = [bus.publisher(f"p{n}", "a,b,c", **flags).start() for n in range(4)]
    return publishers + [bus.consumer(f"c{n}-{queue}", queue).start()
                         for n, queue in enumerate("aabc")]


@pytest.mark.parametrize("level", ["process", "disk"])
def test_killed_at_random(bus, level, is_long, progress):
    """kill -9 of random ones, again and again: all that was accepted is handled, in order."""
    clients = work_queues(bus, level=level)
    for _ in rounds(bus, is_long, progress):
        kill_some(bus, clients)
    bus.finish()


def seconds_until_grown(path, size):
    """How long it takes until the file is longer."""
    start = time.monotonic()
    while not os.path.exists(path) or os.path.getsize(path) <= size:
        assert time.monotonic() - start < 30, f"{path} does not grow"
        time.sleep(0.0005)
    return time.monotonic() - start


def test_killed_at_full_speed(bus, is_long, progress):
    """While they do nothing but append and take, so that many of them die with a lock held: another
    publisher hardly notices."""
    steady = bus.publisher(STEADY, rate=1000).start()
    bursts = [bus.publisher(f"burst{n}", rate=0) for n in range(2)]
    consumers = [bus.consumer(f"c{n}").start() for n in range(2)]
    journal = steady.args["journal"]
    delays_s = []
    for _ in rounds(bus, is_long, progress):
        first = bursts[0].args["journal"]
        size = os.path.getsize(first) if os.path.exists(first) else 0
        for client in bursts:
            client.start()
        seconds_until_grown(first, size)
        time.sleep(bus.rng.random() * 0.003)  # at any moment of the burst
        victims = bursts + bus.rng.sample(consumers, bus.rng.choice([0, 1]))
        bus.kill(*victims)
        delays_s.append(seconds_until_grown(journal, os.path.getsize(journal)))
        for client in victims:
            if client.role == "consume":
                client.start()
    print(f"the others went on after {max(delays_s) * 1000:.0f} ms at most, "
          f"{sorted(delays_s)[len(delays_s) // 2] * 1000:.1f} ms mostly")
    assert max(delays_s) < DELAY_MAX_S
    bus.finish()


@pytest.mark.parametrize("kind", ["topic", "fanout"])
def test_subscribers_killed_at_random(bus, kind, is_long, progress):
    """Four publishers to an exchange, four subscribers that are killed, and one that lives: it gets
    everything, and each of the others all that there is from when it is up to when it dies."""
    exchange = {"exchange": "news", "exchange_type": kind}
    keys = ["news.red", "news.blue", "old.red"]
    bindings = [("#", None), ("news.*", keys[:2]), ("*.red", keys[::2]), ("old.red", keys[2:])]
    subscribers = {}
    for number, (binding, bound) in enumerate([("#", None), *bindings]):
        client = bus.consumer(f"c{number}", binding, **exchange).start()
        subscribers[client] = None if kind == "fanout" else bound
        bus.joined(client, subscribers[client])
    clients = [bus.publisher(f"p{n}", ",".join(keys), rate=300, **exchange).start()
               for n in range(4)] + list(subscribers)[1:]
    for _ in rounds(bus, is_long, progress):
        kill_some(bus, clients, subscribers)
    bus.finish(ordered=False)  # each life is looked at for itself


def test_all_killed_at_once(bus, is_long, progress):
    """Nobody is left to put anything right: the first who comes back does. Now and then all die
    again while it is at it."""
    clients = work_queues(bus)
    for _ in rounds(bus, is_long, progress, 5, 50):
        bus.kill(*clients)
        for _ in range(bus.rng.choice([0, 0, 1, 2])):
            for client in bus.rng.sample(clients, 3):
                client.start()
            pause_for_a_moment(bus.rng)
            bus.kill(*(client for client in clients if client.is_running))
        for client in bus.rng.sample(clients, len(clients)):
            client.start()
    bus.finish()


def test_joined_and_left_while_others_are_killed(bus, is_long, progress):
    """New processes come and go in order the while; one that stays has no more than it had."""
    stays = bus.publisher("stays", "a,b,c", rate=100).start()
    clients = work_queues(bus)
    bus.wait_handled(300)
    bus.keep_resources()
    for number in rounds(bus, is_long, progress, 5, 50):
        pub = bus.publisher(f"new{number}", "a,b,c", count=100, rate=0).start()
        con = bus.consumer(f"new{number}-a", "a").start()
        kill_some(bus, clients)
        pub.wait("done")
        handled = bus.ledger.consumed[con.name]
        bus.until(lambda h=handled: len(h.read().handled) > 20, 60, f"a share for {con.name}")
        pub.stop()
        con.stop()
    assert stays.is_running
    bus.finish()


# ---- what a killed one had -------------------------------------------------------------------

def stuck_consumer(bus, n_leased):
    """A consumer that has handled q's first message, is stuck with the second, and has leased it
    and those behind it."""
    stuck = bus.consumer("stuck", every=2, slow_ms=600000, prefetch=n_leased).start()
    bus.wait_handled(1)
    return stuck


def test_leased_messages_of_a_killed_consumer(bus):
    """Others get them at once, marked as redelivered."""
    n_leased = 50
    bus.publisher(count=200, rate=0).start().wait("done")
    stuck = stuck_consumer(bus, n_leased)
    bus.consumer("other").start()
    consumed = bus.ledger.consumed["other"]
    bus.until(lambda: len(consumed.read().handled) >= 200 - n_leased - 1, 30,
              "all that the stuck one does not have being handled")
    killed = time.monotonic()
    bus.kill(stuck)
    bus.wait_complete()
    took_s = time.monotonic() - killed
    print(f"{n_leased} messages of a killed consumer were handled {took_s * 1000:.0f} ms later")
    assert took_s < DELAY_MAX_S
    redelivered = {number_of(it.key)[1] for it in consumed.handled if it.redelivered}
    # Whether the first is among them depends on whether it was acknowledged.
    assert redelivered - {1, n_leased + 1} == set(range(2, n_leased + 1))
    bus.finish()


def test_a_paused_consumer_keeps_what_it_has(bus):
    """SIGSTOP is no death, however long: others go on, and do not get its messages."""
    bus.publisher(count=200, rate=0).start().wait("done")
    stuck = bus.consumer("stuck", every=2, slow_ms=500, prefetch=3).start()
    bus.wait_handled(1)
    stuck.signal(signal.SIGSTOP)
    bus.consumer("other").start()
    bus.until(lambda: len(bus.ledger.read().done) >= 200 - 3, 30, "all others being handled")
    stuck.signal(signal.SIGCONT)
    bus.finish()
    assert bus.ledger.duplicates() == 0


def test_temporary_queue_of_a_killed_subscriber(bus):
    """It is gone, with what was in it; a publisher notices nothing."""
    exchange = {"exchange": "news", "exchange_type": "fanout"}
    bus.joined(bus.consumer("witness", "#", **exchange).start())
    stuck = bus.consumer("stuck", "#", slow_ms=600000, **exchange).start()
    bus.joined(stuck)
    assert len(bus.temporary_queues()) == 2
    bus.publisher("p", "any", **exchange).start()
    bus.wait_handled(100)
    killed = time.monotonic()
    bus.kill(stuck)
    bus.until(lambda: len(bus.temporary_queues()) == 1, 30, "an end of its queue")
    print(f"gone within {(time.monotonic() - killed) * 1000:.0f} ms")
    bus.wait_handled(100)
    bus.finish(ordered=False)
    assert not bus.temporary_queues()
