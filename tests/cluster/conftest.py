# SPDX-License-Identifier: MIT
"""What the tests of a cluster start from: three RabbitMQ nodes, and the whole system on them.

The cluster is started once. A test may stop, kill, pause and cut off its nodes; the next one gets it
whole again. The table of how long everything took is printed at the end. Tests marked `long` run
with --long only, the others have more rounds then. GODWIT_FAULT_SEED sets what is random, and
GODWIT_BIN names the directory of the programs.
"""
import os
import random
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
for part in ("script/lib", "tests/e2e", "tests/support", "tests/fault", "tests/cluster"):
    sys.path.insert(0, os.path.join(ROOT, part))

from figures import Figures  # noqa: E402
from members import Members  # noqa: E402
from rabbit_cluster import RabbitCluster  # noqa: E402
from swarm import ClusterWorld, Swarm  # noqa: E402

SEED = int(os.environ.get("GODWIT_FAULT_SEED") or random.SystemRandom().randrange(1 << 32))
FIGURES = Figures()


def pytest_addoption(parser):
    """--long runs everything, and more rounds."""
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


def pytest_terminal_summary(terminalreporter):
    """The figures."""
    terminalreporter.section("how long it took, in seconds")
    for line in FIGURES.lines():
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def is_long(request):
    """Whether everything is to be run."""
    return request.config.getoption("--long")


@pytest.fixture
def rng(request):
    """Random numbers of this test, the same for the same seed."""
    print(f"GODWIT_FAULT_SEED={SEED}")
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def programs():
    """The directory of the services' programs."""
    directory = os.path.abspath(
        os.environ.get("GODWIT_BIN", os.path.join(ROOT, "build", "release", "bin")))
    assert os.path.exists(os.path.join(directory, "vipservice")), f"{directory}: build it first"
    return directory


@pytest.fixture(scope="session")
def cluster_of_session(tmp_path_factory):
    """The cluster behind `members`."""
    cluster = RabbitCluster(tmp_path_factory.mktemp("cluster"))
    cluster.start(die_with_parent=True)
    yield cluster
    cluster.stop()


@pytest.fixture
def members(cluster_of_session):
    """The nodes, all of them running, for a test that breaks them."""
    made = Members(cluster_of_session)
    made.mend()
    return made


@pytest.fixture
def swarm(tmp_path, programs, members, request):
    """The whole system on the cluster, under load; what it did is checked by swarm.finish()."""
    world = ClusterWorld(tmp_path / "world", programs, members, request.node.name)
    made = Swarm(world, members, FIGURES)
    try:
        yield made.start()
    finally:
        made.end()
        members.mend()
        world.end()
