# SPDX-License-Identifier: MIT
"""The disk of the outbox fills up: it refuses with a word that says so, and recovers with room.

The disk is a small tmpfs in a mount namespace of the publisher's own, which the test reaches
through /proc/<pid>/root.
"""
import os
import re

import pytest

from disks import LastingDisk, fill, own_namespace

DISK = "disk"
SIZE_MIB = 128


@pytest.fixture
def small_disk(scene):
    """(what to put before a publisher's command, where the outbox is for it)."""
    mount = scene.path(DISK)
    os.makedirs(mount)
    return (own_namespace(f'mount -t tmpfs -o size={SIZE_MIB}m,mode=700 none "$0"', mount),
            os.path.join(mount, "outbox"))


def as_seen_by(client, path):
    """A path inside the client's mount namespace."""
    return f"/proc/{client.pid}/root{path}"


@pytest.mark.parametrize("level", ["process", "disk"])
def test_disk_full(scene, small_disk, level):
    """What was accepted is kept, what does not fit is refused, and room lets it go on."""
    prefix, directory = small_disk
    proxy = scene.proxy()
    scene.consumer().start().wait_up()  # first: what piles up meanwhile makes the outbox's file grow
    pub = scene.publisher(proxy=proxy, prefix=prefix, level=level, dir=directory, rate=0,
                          size=2000, max_bytes=1 << 30).start().wait_up()
    scene.wait_handled(100)
    ballast = as_seen_by(pub, os.path.join(scene.path(DISK), "ballast"))
    pub.ask("pause", "paused")
    pub.flush()
    proxy.refuse()
    proxy.reset()
    fill(ballast, 8 << 20)
    pub.ask("resume", "resumed")
    _, line = pub.wait("refused", 60)
    assert re.search(r"GW_E_NO_SPACE .*full", line) and directory in line, line
    mark = pub.mark()
    os.unlink(ballast)
    pub.wait("accepted again", 60, mark)
    pub.ask("pause", "paused")
    proxy.accept()
    scene.finish()


def test_started_again_on_a_full_disk(scene):
    """An outbox that has filled its disk, and was killed, can be opened, and is emptied."""
    proxy = scene.proxy()
    proxy.refuse()
    with LastingDisk(scene.path(DISK), SIZE_MIB) as disk:
        options = {"proxy": proxy, "prefix": disk.prefix, "level": "process", "size": 2000,
                   "dir": os.path.join(disk.mount, "outbox"), "max_bytes": 1 << 30}
        pub = scene.publisher(rate=0, **options).start()
        pub.wait("refused", 60)
        pub.kill()
        first = scene.ledger.published["p"].killed("p")
        proxy.heal()
        scene.consumer().start()
        pub = scene.publisher(first=first, count=100, rate=1000, **options).start()
        pub.wait("done", 120)
        assert "room that was kept for this" in pub.tail(), pub.tail()
        scene.finish()


@pytest.mark.parametrize("level", ["memory", "process"])
def test_the_limit_of_the_outbox(scene, level):
    """As many messages as it is set to: the next one is refused, and accepted when one is gone."""
    proxy = scene.proxy()
    pub = scene.publisher(proxy=proxy, rate=0, max_messages=5000, level=level,
                          **({} if level == "memory" else {"dir": scene.path("outbox")}))
    proxy.refuse()
    pub.start()
    scene.consumer().start()
    _, line = pub.wait("refused")
    assert "GW_E_FULL" in line and "5000" in line, line
    assert len(scene.ledger.read().accepted) == 5000
    proxy.accept()
    pub.wait("accepted again", 60)
    scene.wait_handled(6000)
    scene.finish()


def test_an_outbox_that_cannot_be_opened(scene):
    """A disk without room for it: the client does not start, and says which directory and why."""
    mount = scene.path(DISK)
    os.makedirs(mount)
    prefix = own_namespace('mount -t tmpfs -o size=16k,mode=700 none "$0"', mount)
    pub = scene.publisher(prefix=prefix, level="process", dir=os.path.join(mount, "outbox"),
                          count=1).start()
    assert pub.wait_end() == 1, pub.tail()
    said, = pub.said("failed ")
    assert "outbox" in said, said
