# SPDX-License-Identifier: MIT
"""The machine stops with the embedded bus on it: at the level disk, what was accepted is there.

A loss of power is made up by fault_power: it takes from the files what the bus does not hold for
written to the disk.
"""
import os
import subprocess

import pytest

ROUNDS = 4
ROUNDS_LONG = 60


def start_clients(bus):
    """Publishers that wait for the disk, and one consumer of each queue: the order can be told then
    although nothing is marked."""
    flags = {"level": "disk", "rate": 400}
    return ([bus.publisher(f"p{n}", "a,b,c", **flags).start() for n in range(3)]
            + [bus.consumer(f"c{n}-{queue}", queue).start() for n, queue in enumerate("abc")])


def everything_anew(bus, clients, meanwhile):
    """All are killed, something happens to the files, and all are started again."""
    bus.kill(*(client for client in clients if client.is_running))
    meanwhile()
    for client in clients:
        client.start()


@pytest.mark.parametrize("what", ["loses power", "has another boot id", "has lost control"])
def test_rebooted(bus, power_program, is_long, progress, what):
    """All that was accepted is handled; what had been handled may come again, and unmarked."""
    def lose_power():
        subprocess.run([power_program, bus.bus, str(bus.rng.randrange(1 << 31))], check=True)

    def change_boot_id():
        with open(os.path.join(bus.bus, "control"), "r+b") as control:
            control.seek(16)
            assert len(control.read(36).split(b"-")) == 5, "a boot id is here"
            control.seek(16)
            control.write(b"0")

    def lose_control():
        os.unlink(os.path.join(bus.bus, "control"))

    clients = start_clients(bus)
    meanwhile = {"loses power": lose_power, "has another boot id": change_boot_id,
                 "has lost control": lose_control}[what]
    n_rounds = ROUNDS_LONG if is_long else ROUNDS
    for number in range(n_rounds):
        bus.wait_handled(bus.rng.randrange(1, 1000))
        if number % 2:  # messages wait, settled and leased ones among them
            bus.kill(*(client for client in clients if client.role == "consume"))
            n_wanted = len(bus.ledger.read().accepted) + bus.rng.randrange(1, 500)
            bus.until(lambda n=n_wanted: len(bus.ledger.read().accepted) >= n, 60,
                      f"{n_wanted} accepted")
        everything_anew(bus, clients, meanwhile)
        progress(f"round {number + 1} of {n_rounds}, {len(bus.ledger.accepted)} accepted")
    bus.finish(marked=False)
