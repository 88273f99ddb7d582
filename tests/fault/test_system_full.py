# SPDX-License-Identifier: MIT
"""Outboxes and disks that are full: VIP reads are refused with 503 and Retry-After, everybody else
is served, no accepted read is lost, and all goes on when there is room."""
import os

import pytest

from estate import QUEUE, VIP, Estate, SmallDisk, url_through
from fault_proxy import FaultProxy
from readers import HOST, Burst, Readers
from world import eventually

NOT_VIP = "/accounts/10042"


@pytest.fixture
def proxy(broker):
    """Between accountservice and the broker."""
    with FaultProxy(HOST, broker.ports.amqp) as made:
        yield made


def cut(proxy):
    """The broker is away for those behind the proxy."""
    proxy.refuse()
    proxy.reset()


def check_refusal(world, port):
    """What a reader of a VIP is told, and a reader of another account."""
    refused = world.get(f"/accounts/{VIP}", port)
    assert refused.status_code == 503, refused.text
    assert int(refused.headers["Retry-After"]) >= 1
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert refused.json()["status"] == 503
    assert world.get(NOT_VIP, port).json()["name"] == "Person_42"
    assert world.get("/accounts/nobody", port).status_code == 404


@pytest.mark.parametrize("level", ["memory", "process"])
def test_a_full_outbox(world, proxy, level):
    """The broker is away, and 50 messages is all that may wait for it."""
    estate = Estate(world, n_accounts=1, n_vips=1, account_settings={
        "amqp_server_url": url_through(world, proxy), "outbox_level": level,
        "outbox_max_messages": 50}).start()
    with Readers(estate.account_ports) as readers, \
            Readers(estate.account_ports, count=2, path=NOT_VIP) as others:
        readers.wait_answered(50)
        cut(proxy)
        readers.wait_refused(100)
        others.wait_answered(100)
        check_refusal(world, estate.account_ports[0])
        assert estate.metric(estate.accounts[0], "godwit_outbox_messages") == 50
        proxy.accept()
        readers.wait_answered(100)
    assert not others.errors and others.refused == 0 and others.unserved == 0, str(others)
    assert estate.check(readers) == readers.answered
    # Said, but not once a read.
    warnings = estate.accounts[0].matching("answered with 503")
    assert 0 < len(warnings) <= readers.refused / 2, warnings


@pytest.mark.parametrize("level", ["process", pytest.param("disk", marks=pytest.mark.long)])
def test_disk_full_under_the_outbox(world, proxy, level):
    """The directory of the outbox has no room for what waits."""
    disk = SmallDisk(os.path.join(world.directory, "disk"), 24)
    estate = Estate(world, n_accounts=1, n_vips=1, account_settings={
        "amqp_server_url": url_through(world, proxy), "outbox_level": level,
        "outbox_dir": os.path.join(disk.path, "outbox"), "prefix": disk.prefix}).start()
    account, port = estate.accounts[0], estate.account_ports[0]
    make_room = disk.fill(account, 1024)
    cut(proxy)
    answered = refused = 0
    while refused == 0:
        found = Burst(port).read(2000).found
        assert set(found) <= {200, 503}, found
        answered += found[200]
        refused += found[503]
        assert answered < 200000, "it takes more than there is room for"
    check_refusal(world, port)
    assert Burst(port, NOT_VIP).read(500).found == {200: 500}
    assert account.exit_code is None
    make_room()
    eventually(lambda: Burst(port).read(1).found[200], 30, "a VIP read is accepted again")
    answered += 1
    proxy.accept()
    with Readers(estate.account_ports) as readers:
        readers.wait_answered(50)
    readers.answered += answered
    assert estate.check(readers) == readers.answered


def test_disk_full_under_the_store(world):
    """vipservice cannot write: it says so, reads go on, their messages wait and are counted."""
    disk = SmallDisk(os.path.join(world.directory, "disk"), 24)
    estate = Estate(world, n_accounts=1, n_vips=1, vip_settings={
        "store_dir": os.path.join(disk.path, "store"), "prefix": disk.prefix}).start()
    vip = estate.vips[0]
    with Readers(estate.account_ports) as readers:
        readers.wait_answered(100)
        make_room = disk.fill(vip, 64)
        reason = eventually(lambda: (answer := world.get("/health", vip.port)).status_code == 503
                            and answer.text, 30, "unhealthy")
        readers.wait_answered(200)
        stuck_at = estate.counted(vip)  # still readable
        make_room()
        eventually(lambda: world.get("/health", vip.port).status_code == 200, 60, "healthy")
        readers.wait_answered(50)
    assert "full" in reason and disk.path in reason, reason
    assert stuck_at < readers.answered
    # The store is gone with its disk, so this one process has to finish.
    eventually(lambda: estate.counted(vip) >= readers.answered, 90, "all are counted")
    eventually(lambda: world.queue_length(QUEUE) == 0, 30, "an empty queue")
    assert readers.undecided == 0 and not readers.errors, str(readers)
    assert estate.counted(vip) == readers.answered
    assert not world.queue_length(f"{QUEUE}.dead")
