# SPDX-License-Identifier: MIT
"""Services on the embedded bus are killed while VIP accounts are read: each 200 counts once.

What accountservice accepted is in the bus, and needs no next start of it; vipservice counts a read
and notes its message id in one transaction.
"""
import pytest

from estate import Estate
from readers import Readers
from test_system_killed import ROUNDS, ROUNDS_LONG, kill_in_turn
from world import World


@pytest.fixture
def world(tmp_path, programs, request):
    """The services' programs, without a broker."""
    made = World(tmp_path / "world", programs, None, request.node.name)
    yield made
    made.end()


@pytest.mark.parametrize("level", ["process", "disk"])
def test_services_killed_in_turn(world, rng, is_long, progress, level):
    """Two of each; not one read more or less than there were."""
    estate = Estate(world, n_vips=2, account_settings={"outbox_level": level}).start()
    with Readers(estate.account_ports) as readers:
        kill_in_turn(estate, readers, rng, ROUNDS_LONG if is_long else ROUNDS, progress)
    estate.check(readers)


def test_all_services_killed_at_once(world, rng, is_long):
    """What they had accepted and not counted is there when they are back."""
    estate = Estate(world, n_vips=2).start()
    with Readers(estate.account_ports, rate=1000) as readers:
        for _ in range(10 if is_long else 2):
            readers.wait_answered(rng.randrange(1, 500))
            for service in estate.running:
                world.kill(service)
            for number in range(2):
                estate.start_account(number)
                estate.start_vip(number)
        readers.wait_answered(50)
        estate.wait_healthy()
    estate.check(readers)


def test_accepted_without_a_vipservice(world):
    """Reads are accepted while nobody counts them, and by whom is dead when somebody does."""
    estate = Estate(world, n_accounts=1, n_vips=1).start()
    world.kill(estate.vips[0])
    with Readers(estate.account_ports, rate=1000) as readers:
        readers.wait_answered(300)
        world.kill(estate.accounts[0])
    estate.start_vip(0).wait_healthy()
    estate.start_account(0).wait_healthy()
    estate.check(readers)
