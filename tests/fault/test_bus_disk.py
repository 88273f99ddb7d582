# SPDX-License-Identifier: MIT
"""The disk of the embedded bus fills up, or cannot be written: it says so, and goes on later."""
import os
import re

import pytest

from disks import LastingDisk, fill, own_namespace

SIZE_MIB = 64


@pytest.fixture
def disk(bus):
    """A small disk with the bus on it."""
    with LastingDisk(bus.path("disk"), SIZE_MIB) as made:
        bus.prefix = made.prefix
        bus.bus = os.path.join(made.mount, "bus")
        yield made
        bus.end()


@pytest.mark.parametrize("level", ["process", "disk"])
def test_disk_full(bus, disk, level):
    """What was accepted is kept, what does not fit is refused, and room lets it go on."""
    con = bus.consumer().start()
    pub = bus.publisher(rate=0, size=2000, level=level).start()
    bus.wait_handled(100)
    con.ask("unsubscribe", "unsubscribed")
    _, line = pub.wait("refused", 120)
    assert re.search(r"GW_E_NO_SPACE .*full", line) and "'q'" in line, line
    mark = pub.mark()
    con.ask("subscribe", "subscribed ok")
    pub.wait("accepted again", 60, mark)
    bus.finish()


def test_started_again_on_a_full_disk(bus, disk):
    """A bus that has filled its disk can be opened when all were killed, and is emptied."""
    pub = bus.publisher(rate=0, size=2000).start()
    pub.wait("refused", 120)
    bus.kill(pub)
    fill(disk.seen("ballast"))
    con = bus.consumer().start()
    bus.wait_handled(100)
    pub.args["count"] = 20000
    mark = pub.mark()
    pub.start()
    pub.wait("done", 120, mark)
    assert con.is_running
    bus.finish()


def test_killed_on_a_full_disk(bus, disk, is_long):
    """kill -9 of the one that fills it and the one that empties it, again and again."""
    pub = bus.publisher(rate=0, size=2000).start()
    con = bus.consumer().start()
    fill(disk.seen("ballast"), 20 << 20)
    for _ in range(40 if is_long else 5):
        con.ask("unsubscribe", "unsubscribed", 60)
        pub.wait("refused", 120, pub.born)
        con.ask("subscribe", "subscribed ok", 60)
        bus.wait_handled(bus.rng.randrange(1, 3000))
        bus.kill(pub, con)
        pub.start()
        con.start()
    bus.finish()


def test_no_room_for_a_bus(bus):
    """The client says which directory it is, and why."""
    mount = bus.path("disk")
    os.makedirs(mount)
    bus.bus = os.path.join(mount, "bus")
    bus.prefix = own_namespace('mount -t tmpfs -o size=16k,mode=700 none "$0"', mount)
    pub = bus.publisher(count=1).start()
    assert pub.wait_end() == 1, pub.tail()
    said, = pub.said("failed ")
    assert "GW_E_NO_SPACE" in said and bus.bus in said, said


def test_read_only_for_one(bus):
    """Who may only read it cannot take part, and is told so; nobody else notices."""
    bus.publisher().start()
    bus.consumer().start()
    bus.wait_handled()
    bind = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"'
    late = bus.publisher("late", count=1, prefix=own_namespace(bind, bus.bus)).start()
    assert late.wait_end() == 1, late.tail()
    said, = late.said("failed ")
    assert "GW_E_DENIED" in said and bus.bus in said, said
    bus.wait_handled()
    bus.finish()


def test_read_only_for_a_while(bus):
    """No new file can be made: messages are refused or reported, and later accepted again."""
    bus.prefix = [] if os.geteuid() else ["setpriv", "--inh-caps=-dac_override",
                                          "--bounding-set=-dac_override", "--"]
    pub = bus.publisher(size=4000, rate=0).start()
    con = bus.consumer().start()
    bus.wait_handled(100)
    folders = [bus.bus + "/logs/" + name for name in os.listdir(bus.bus + "/logs")]
    for folder in folders:
        os.chmod(folder, 0o500)
    published = bus.ledger.published["p"]
    bus.until(lambda: published.read().failed or published.refused, 120, "a refusal")
    for folder in folders:
        os.chmod(folder, 0o700)
    n_wanted = len(published.read().accepted) + len(published.failed) + 10000
    bus.until(lambda: len(published.read().accepted) > n_wanted, 60, "10000 more")
    assert con.is_running
    bus.finish()
