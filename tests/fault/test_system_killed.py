# SPDX-License-Identifier: MIT
"""Services and the broker are killed or paused while VIP accounts are read: each 200 counts once.

accountservice keeps what it accepted in its outbox (level process), and sends what is left when it
is started again; vipservice counts a read and notes its message id in one transaction.
"""
import os
import signal
import threading

import pytest

from estate import QUEUE, Estate, check_tap, url_through
from fault_proxy import FaultProxy
from readers import HOST, Burst, Readers, Tap
from world import eventually

ROUNDS = 2
ROUNDS_LONG = 20
MANY = 40000  # more than the part of the outbox that fresh messages are in


def kill_in_turn(estate, readers, rng, n_rounds, progress):
    """Kill each service once a round, at random points, and start it again at once."""
    for number_of_round in range(1, n_rounds + 1):
        progress(f"round {number_of_round} of {n_rounds}; {readers}")
        turns = [("account", n) for n in range(len(estate.accounts))]
        turns += [("vip", n) for n in range(len(estate.vips))]
        rng.shuffle(turns)
        for kind, number in turns:
            readers.wait_answered(rng.randrange(1, 300))
            if kind == "account":
                estate.world.kill(estate.accounts[number])
                estate.start_account(number)
            else:
                estate.world.kill(estate.vips[number])
                estate.start_vip(number)
    readers.wait_answered(50)
    estate.wait_healthy()


@pytest.mark.parametrize("level,queue_type", [
    ("process", "classic"), ("disk", "classic"), ("process", "quorum")])
def test_services_killed_in_turn(world, rng, is_long, progress, level, queue_type):
    """Exactly: the ids that the broker was given are as many as the reads that were counted.

    The broker is a little away, so that there is always something in the outbox that is killed.
    """
    with FaultProxy(HOST, world.broker.ports.amqp) as proxy, Tap(world, QUEUE) as tap:
        proxy.to_broker.delay_s = 0.03
        estate = Estate(world, queue_type=queue_type, account_settings={
            "outbox_level": level, "amqp_server_url": url_through(world, proxy)}).start()
        with Readers(estate.account_ports) as readers:
            kill_in_turn(estate, readers, rng, ROUNDS_LONG if is_long else ROUNDS, progress)
        estate.check(readers, tap)


def test_services_and_the_broker_killed(world, victim_node, rng, is_long, progress):
    """The same while the broker dies too: accepted reads wait in the outboxes of both lives."""
    world.make_vhost(victim_node)
    estate = Estate(world).start()
    with Readers(estate.account_ports) as readers:
        for _ in range(5 if is_long else 1):
            readers.wait_answered(rng.randrange(1, 100))
            victim_node.kill()
            for number in range(len(estate.accounts)):
                readers.wait_answered(rng.randrange(1, 100))
                world.kill(estate.accounts[number])
                estate.start_account(number).wait_lines("serving HTTP", timeout_s=30)
            world.kill(estate.vips[1])
            estate.start_vip(1)
            victim_node.start(die_with_parent=True)
            estate.wait_healthy(90)
            kill_in_turn(estate, readers, rng, 1, progress)
    estate.check(readers)


def test_what_a_killed_accountservice_left_is_sent_by_the_next(world, victim_node):
    """Accepted while the broker was away, by a process that is dead when it is back."""
    world.make_vhost(victim_node)
    estate = Estate(world, n_accounts=1, n_vips=1).start()
    victim_node.kill()
    with Readers(estate.account_ports, rate=1000) as readers:
        readers.wait_answered(300)
        world.kill(estate.accounts[0])
    again = estate.start_account(0)
    again.wait_lines("serving HTTP", timeout_s=30)
    assert readers.answered <= estate.metric(again, "godwit_outbox_messages") <= (
        readers.answered + readers.undecided)
    victim_node.start(die_with_parent=True)
    estate.wait_healthy(90)
    estate.check(readers)


def test_a_large_outbox_killed_at_random(world, rng, is_long, progress):
    """Filled by one life after the other, each killed while it accepts, and sent by the last."""
    with FaultProxy(HOST, world.broker.ports.amqp) as proxy, Tap(world, QUEUE) as tap:
        estate = Estate(world, n_accounts=1, n_vips=2, account_settings={
            "amqp_server_url": url_through(world, proxy)}).start()
        bursts = []
        for number in range(12 if is_long else 4):
            progress(f"life {number}")
            if number % 2 == 0:  # every other life sends what was left, while it accepts more
                proxy.refuse()
                proxy.reset()
            bursts.append(Burst(estate.account_ports[0]))
            thread = threading.Thread(target=bursts[-1].read, args=(MANY,))
            thread.start()
            wanted = rng.randrange(MANY)
            eventually(lambda w=wanted: bursts[-1].found[200] >= w, 60, f"{wanted} answers")
            world.kill(estate.accounts[0])
            thread.join()
            proxy.accept()
            estate.start_account(0).wait_lines("serving HTTP", timeout_s=30)
        counted = estate.settle()
        answered = sum(burst.found[200] for burst in bursts)
        undecided = sum(burst.undecided for burst in bursts)
        print(f"{counted} counted; {answered} answered, {undecided} undecided")
        assert answered == sum(sum(burst.found.values()) for burst in bursts)
        assert answered <= counted <= answered + undecided
        check_tap(tap, counted)


def test_a_paused_vipservice(world, rng):
    """Its messages go to the others when the broker gives it up; awake, it has them as well."""
    estate = Estate(world, amqp_server_url=f"{world.amqp_url}?heartbeat=2").start()
    with Readers(estate.account_ports) as readers:
        for vip in rng.sample(estate.vips, 2):
            readers.wait_answered(rng.randrange(50, 150))
            os.kill(vip.pid, signal.SIGSTOP)
            try:
                eventually(lambda: world.consumers(QUEUE) == 2, 30, "the broker gives it up")
            finally:
                os.kill(vip.pid, signal.SIGCONT)
            eventually(lambda: world.consumers(QUEUE) == 3, 60, "it consumes again")
    estate.check(readers)
