# SPDX-License-Identifier: MIT
"""Restarts in order and scaling under load: nobody notices, and nothing is lost."""
from estate import Estate, url_through
from fault_proxy import FaultProxy
from readers import HOST, Readers
from world import eventually

PASSES = 1
PASSES_LONG = 15


def check_nobody_noticed(readers):
    """Each read was answered at once by an instance that was there."""
    print(readers)
    assert not readers.errors, readers.errors[:3]
    assert readers.refused == 0 and readers.unserved == 0, str(readers)


def test_rolling_restart(world, rng, is_long):
    """SIGTERM to one after the other; with two accountservices one is always there to read from."""
    estate = Estate(world).start()
    with Readers(estate.account_ports) as readers:
        for _ in range(PASSES_LONG if is_long else PASSES):
            for kind, services in (("account", estate.accounts), ("vip", estate.vips)):
                for number, service in enumerate(list(services)):
                    readers.wait_answered(rng.randrange(20, 400))
                    estate.stop(service)
                    getattr(estate, f"start_{kind}")(number).wait_healthy(60)
    check_nobody_noticed(readers)
    estate.check(readers)


def test_scaling_1_3_1(world):
    """Vipservices that join take their share, those that leave finish theirs."""
    estate = Estate(world, n_accounts=1).start(n_vips=1)

    def handled(vip):
        return len(world.messages(vip))

    with Readers(estate.account_ports) as readers:
        eventually(lambda: handled(estate.vips[0]) >= 50, 30, "one handles all")
        for number in (1, 2):
            estate.start_vip(number).wait_healthy(60)
        for vip in estate.vips:
            before = handled(vip)
            eventually(lambda v=vip, b=before: handled(v) >= b + 30, 60, f"a share of {vip.name}")
        for number in (0, 1):
            estate.stop(estate.vips[number])
        before = handled(estate.vips[2])
        eventually(lambda: handled(estate.vips[2]) >= before + 50, 30, "one handles all again")
    check_nobody_noticed(readers)
    n_printed = len(world.messages(estate.vips[0])) + len(world.messages(estate.vips[1]))
    third = estate.vips[2]
    counted = estate.check(readers)
    assert counted == readers.answered
    assert n_printed + len(world.messages(third)) == counted  # none was handled twice


def test_stopped_while_the_broker_is_away(world, broker):
    """What could not be sent in time stays in the outbox, and is sent by the next start."""
    with FaultProxy(HOST, broker.ports.amqp) as proxy:
        estate = Estate(world, n_accounts=1, n_vips=1, account_settings={
            "amqp_server_url": url_through(world, proxy), "shutdown_timeout": "1s"}).start()
        with Readers(estate.account_ports) as readers:
            readers.wait_answered(50)
            proxy.refuse()
            proxy.reset()
            readers.wait_answered(200)
            estate.stop(estate.accounts[0])
        again = estate.start_account(0)
        again.wait_lines("serving HTTP", timeout_s=30)
        n_left = estate.metric(again, "godwit_outbox_messages")
        assert 200 <= n_left <= readers.answered + readers.undecided, (n_left, str(readers))
        proxy.accept()
        estate.check(readers)
