# SPDX-License-Identifier: MIT
"""The system on the embedded bus: what differs from a broker, which is a process of its own."""
import os
import re
import signal
import stat
import threading

import pytest
import requests

import processes
from world import HOST, ON_BUS, eventually

pytestmark = ON_BUS


class Readers:
    """Threads that read the VIP account all the time and count the answers with status 200."""

    def __init__(self, world, count=4):
        self._url = f"http://{HOST}:{world.account_port}/accounts/10000"
        self._done = threading.Event()
        self._lock = threading.Lock()
        self.answered = 0
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]

    def _run(self):
        while not self._done.is_set():
            try:
                if requests.get(self._url, timeout=5).status_code == 200:
                    with self._lock:
                        self.answered += 1
            except requests.RequestException:
                self._done.wait(0.02)  # it is not there at the moment

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        for thread in self._threads:
            thread.join()


def wait_counted(world, least):
    """Wait until all that was answered is counted. A read whose answer was lost with the process may
    be counted as well: at most one for each reader and kill."""
    eventually(lambda: (world.vips_of("10000") or {"reads": 0})["reads"] >= least, 30,
               f"{least} counted reads")
    return world.vips_of("10000")["reads"]


def test_the_order_of_starting_does_not_matter(world):
    """What comes before anybody consumes waits; the first one of all makes the bus."""
    world.start_config()
    world.start_account().wait_healthy()
    for _ in range(5):
        world.read("10000")
    world.start_vips(2)
    world.wait_healthy()
    world.wait_reads("10000", 5)


def test_it_is_there_when_all_have_ended(running):
    """No process keeps it alive: messages wait in the directory."""
    running.stop_vips()
    for _ in range(5):
        running.read("10000")
    for service in (running.account, running.config):
        assert service.stop() == 0, service.output()
    assert not processes.marked(running.directory)
    running.start_config()
    running.start_vips(1)
    running.vips[0].wait_healthy()
    running.wait_reads("10000", 5)


def test_all_are_killed_at_once(running):
    """At the same moment, under load, twice: every answered read is counted once."""
    n_readers = 4
    with Readers(running, n_readers) as readers:
        for n in (1, 2):
            before = readers.answered
            eventually(lambda seen=before: readers.answered >= seen + 100)
            for service in (running.account, *running.vips, running.config):
                os.kill(service.pid, signal.SIGSTOP)  # none works on while the others are ended
            for service in (running.account, *running.vips, running.config):
                running.kill(service)
            running.vips = []
            running.start_config()
            running.start_account()
            running.start_vips(2)
            running.wait_healthy()
        before = readers.answered
        eventually(lambda: readers.answered >= before + 20)
    counted = wait_counted(running, readers.answered)
    assert counted <= readers.answered + n * n_readers


def test_what_a_killed_vipservice_had_goes_to_the_other(running):
    """Which is not started again."""
    victim, other = running.vips
    with Readers(running) as readers:
        eventually(lambda: len(running.messages(victim)) >= 20)
        running.kill(victim)
        running.vips = [other]
        before = readers.answered
        eventually(lambda: readers.answered >= before + 20)
    running.wait_reads("10000", readers.answered)


def test_a_stopped_process_holds_nobody_up(running):
    """A vipservice that does nothing for a while, as in a debugger, keeps what it has got only."""
    victim, other = running.vips
    os.kill(victim.pid, signal.SIGSTOP)
    try:
        for _ in range(20):
            running.read("10000")
        running.vips = [other]
        eventually(lambda: running.messages(other))
        assert running.get("/health").json()["status"] == "UP"
    finally:
        os.kill(victim.pid, signal.SIGCONT)
    running.vips = [other, victim]
    running.wait_reads("10000", 20)


def test_no_other_user_may_look_into_it(running):
    running.read("10000")
    running.wait_messages(1)
    top = os.path.join(running.directory, "bus")
    assert stat.S_IMODE(os.stat(top).st_mode) == 0o700


@pytest.mark.parametrize("url, reason", [
    ("bus:", "directory"),
    ("bus:taken", "taken.*(not a directory|a file)"),
    ("bus:/proc/nowhere", "/proc/nowhere"),
    ("bus:bus?nonsense=1", "nonsense"),
    ("bus:bus?max_messages=many", "max_messages"),
    ("bus:bus?overflow=shrug", "overflow"),
], ids=["no directory", "a file", "cannot be made", "unknown", "no number", "no policy"])
def test_a_url_that_is_no_good(world, url, reason):
    """One line that says what is wrong with it, and status 1."""
    with open(os.path.join(world.directory, "taken"), "w", encoding="ascii"):
        pass
    world.start_config()
    account = world.start_account(amqp_server_url=url)
    code, output = world.expect_failure(account)
    line, = [line for line in output.splitlines() if "cannot start" in line]
    assert code == 1 and "amqp_server_url" in line, line
    assert re.search(f"(?i){reason}", line), line
