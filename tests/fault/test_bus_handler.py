# SPDX-License-Identifier: MIT
"""Handlers on the embedded bus that fail while processes die, and that bring them down.

What else they do is the same on a broker and on the bus: test_handler.py.
"""
import signal

from test_handler import EVERY, MAX_CRASHES, RETRY_MS


def test_failing_while_processes_are_killed(bus):
    """Messages that wait for their next attempt are the bus's: it comes whoever dies."""
    flags = {"every": EVERY, "fail_first": 1, "retry_delay_ms": RETRY_MS}
    clients = [bus.publisher(f"p{n}", rate=300).start() for n in range(2)]
    clients += [bus.consumer(f"c{n}", **flags).start() for n in range(2)]
    for _ in range(8):
        bus.wait_handled(bus.rng.randrange(1, 200))
        victims = bus.rng.sample(clients, bus.rng.choice([1, 2, 4]))
        bus.kill(*victims)
        for client in victims:
            client.start()
    bus.finish(ordered=False)


def test_poison(bus):
    """A message that kills the process is parked after so many deaths; all others are handled."""
    bus.publisher(rate=200).start()
    con = bus.consumer(level="process", slow_ms=1,
                       max_crashes=MAX_CRASHES).start()
    bus.wait_handled(100)
    bus.publisher("poison", count=1).start().wait("done")
    n_crashes = 0
    while not bus.letters():
        if con.exit_code is not None:
            assert con.wait_end() == -signal.SIGABRT, con.tail()
            n_crashes += 1
            assert n_crashes <= MAX_CRASHES, con.tail()
            con.start()
    assert n_crashes == MAX_CRASHES
    (properties, _), = bus.dead_letters(1)
    assert properties.message_id == bus.ledger.read().accepted["poison-1"]
    assert properties.headers["x-godwit-queue"] == "q"
    bus.wait_handled(100)
    bus.finish(ordered=False)
