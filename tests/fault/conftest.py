# SPDX-License-Identifier: MIT
"""What the tests that break things start from: brokers, the client under load, and the programs.

`scene` is a test's clients on the broker that all tests share; `victim_scene` the same on another
node, which tests may stop and kill, and which runs again for the next one; `bus` is clients on an
embedded bus in the test's directory, and `anywhere` is both in turn. Tests marked `long` run with
--long only. Whatever is random comes from one seed, which the first lines of the output tell and
GODWIT_FAULT_SEED sets. GODWIT_BUILD names the build whose tests/bin/fault_load is used.
"""
import os
import random
import shutil
import sys
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
for part in ("script/lib", "tests/e2e", "tests/support", "tests/fault"):
    sys.path.insert(0, os.path.join(ROOT, part))

from bus_scene import BusScene  # noqa: E402
from harness import Scene  # noqa: E402
from rabbit_node import Ports, RabbitNode  # noqa: E402
from world import World  # noqa: E402

SEED = int(os.environ.get("GODWIT_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
BUILD = os.path.abspath(os.environ.get("GODWIT_BUILD", os.path.join(ROOT, "build", "release")))


def pytest_addoption(parser):
    """--long runs everything, and the random tests for longer."""
    parser.addoption("--long", action="store_true", help="run the long tests too")


def pytest_configure(config):
    """The marker, so that a misspelt one is an error."""
    config.addinivalue_line("markers", "long: runs with --long only")


def pytest_report_header():
    """How to do it again."""
    return f"GODWIT_FAULT_SEED={SEED}"


def pytest_collection_modifyitems(config, items):
    """Long tests are left out of the short selection, not skipped."""
    if not config.getoption("--long"):
        long = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def is_long(request):
    """Whether everything is to be run."""
    return request.config.getoption("--long")


@pytest.fixture
def progress(request):
    """Tell a waiting person how far it is: at once, past pytest's capture."""
    fd = int(os.environ.get("GODWIT_PROGRESS_FD", "2"))
    capture = request.config.pluginmanager.getplugin("capturemanager")
    last = [time.monotonic()]

    def tell(text):
        if time.monotonic() - last[0] < 10:
            return
        last[0] = time.monotonic()
        with capture.global_and_fixture_disabled():
            os.write(fd, f"    {request.node.name}: {text}\n".encode())

    return tell


@pytest.fixture
def rng(request):
    """Random numbers of this test, the same for the same seed."""
    print(f"GODWIT_FAULT_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def programs():
    """The directory of the services' programs."""
    directory = os.path.abspath(os.environ.get("GODWIT_BIN", os.path.join(BUILD, "bin")))
    assert os.path.exists(os.path.join(directory, "vipservice")), f"{directory}: build it first"
    return directory


@pytest.fixture(scope="session")
def load_program():
    """The client under load."""
    path = os.path.join(BUILD, "tests", "bin", "fault_load")
    assert os.path.exists(path), f"{path} is missing: build it, or run script/test fault"
    return path


@pytest.fixture(scope="session")
def power_program():
    """What loses power."""
    return os.path.join(BUILD, "tests", "bin", "fault_power")


def run_node(directory):
    """A private RabbitMQ node for the time of the session."""
    node = RabbitNode(directory, Ports.free())
    node.start(die_with_parent=True)
    yield node
    node.stop()
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def broker(tmp_path_factory):
    """The broker that nothing is done to but through a virtual host."""
    yield from run_node(tmp_path_factory.mktemp("broker"))


@pytest.fixture(scope="session")
def victim_of_session(tmp_path_factory):
    """The node behind victim_node."""
    yield from run_node(tmp_path_factory.mktemp("victim"))


@pytest.fixture
def victim_node(victim_of_session):
    """The broker that is stopped and killed; it runs when a test gets it."""
    if victim_of_session.exit_code is not None:  # the test before failed while it was down
        victim_of_session.start(die_with_parent=True)
    return victim_of_session


@pytest.fixture
def own_broker(tmp_path):
    """A node of the test's own, not started yet."""
    node = RabbitNode(tmp_path / "own-broker", Ports.free())
    yield node
    node.stop()


@pytest.fixture
def world(tmp_path, programs, broker, request):
    """The services' programs, for the tests of the whole system."""
    made = World(tmp_path / "world", programs, broker, request.node.name)
    yield made
    made.end()


def run_scene(tmp_path, program, node, request, rng):
    """A scene; what it did not end is ended."""
    made = Scene(tmp_path / "scene", program, node, request.node.name, rng)
    yield made
    made.end()


@pytest.fixture
def scene(tmp_path, load_program, broker, request, rng):
    """A test's clients, on the shared broker."""
    yield from run_scene(tmp_path, load_program, broker, request, rng)


@pytest.fixture
def bus(tmp_path, load_program, programs, rng):
    """A test's clients, on an embedded bus of their own."""
    made = BusScene(tmp_path / "scene", load_program, os.path.join(programs, "godwit"), rng)
    yield made
    made.end()


@pytest.fixture(params=["scene", "bus"], ids=["broker", "bus"])
def anywhere(request):
    """A test's clients on the shared broker, and once more on an embedded bus."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def victim_scene(tmp_path, load_program, victim_node, request, rng):
    """A test's clients, on the broker that may be stopped and killed."""
    yield from run_scene(tmp_path, load_program, victim_node, request, rng)
