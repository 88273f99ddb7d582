# SPDX-License-Identifier: MIT
"""What every end-to-end test starts from: a bus or a real broker, and a world of its own.

The broker is started once, for the first test that uses it. Each test gets a virtual host of its
own in it, or else a bus of its own; a git repository with the configuration, free ports and a
directory. Everything is ended with the test, and a program that does not stop with status 0 when
asked fails it. GODWIT_BIN names the directory of the programs.
"""
import os
import shutil
import sys
import tempfile

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "script", "lib"))
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

from database import Database  # noqa: E402
from postgres_server import PostgresServer  # noqa: E402
from processes import free_ports  # noqa: E402
from rabbit_node import Ports, RabbitNode  # noqa: E402
from world import RABBITMQ, World  # noqa: E402


@pytest.fixture(scope="session")
def programs():
    """The directory of the programs under test."""
    directory = os.path.abspath(
        os.environ.get("GODWIT_BIN", os.path.join(ROOT, "build", "release", "bin")))
    for name in ("accountservice", "vipservice", "configserver", "healthchecker", "godwit"):
        path = os.path.join(directory, name)
        assert os.path.exists(path), f"{path} is missing: build it, or run script/test e2e"
    return directory


@pytest.fixture(scope="session")
def broker():
    """A private RabbitMQ node for all tests."""
    directory = tempfile.mkdtemp(prefix="godwit-e2e-broker-")
    node = RabbitNode(directory, Ports.free())
    node.start(die_with_parent=True)
    yield node
    node.stop()
    shutil.rmtree(directory)


@pytest.fixture(scope="session")
def postgres():
    """A private PostgreSQL server for all tests."""
    directory = tempfile.mkdtemp(prefix="godwit-e2e-postgres-")
    server = PostgresServer(directory, free_ports(1)[0])
    server.start(die_with_parent=True)
    yield server
    server.stop()
    shutil.rmtree(directory)


@pytest.fixture
def database(postgres, request):
    """An empty database of the test's own in it; it goes with the server."""
    return Database(postgres, request.node.name)


@pytest.fixture
def own_database(tmp_path):
    """One in a server of the test's own, which runs, for tests in which it fails."""
    server = PostgresServer(tmp_path / "own-postgres", free_ports(1)[0])
    server.start(die_with_parent=True)
    yield Database(server, "own")
    server.stop()


@pytest.fixture
def own_broker(tmp_path):
    """A node of the test's own, not started yet, for tests in which the broker fails."""
    node = RabbitNode(tmp_path / "own-broker", Ports.free())
    yield node
    node.stop()


@pytest.fixture
def carrier(request):
    """What carries the messages: RabbitMQ unless ON_BOTH or ON_BUS stands above the test."""
    return getattr(request, "param", RABBITMQ)


@pytest.fixture
def world(tmp_path, programs, carrier, request):
    """Helpers to start the programs on the session's broker or a bus; ends them after the test."""
    broker = request.getfixturevalue("broker") if carrier == RABBITMQ else None
    made = World(tmp_path / "world", programs, broker, request.node.name)
    yield made
    made.end()


@pytest.fixture
def running(world):
    """The whole system: configserver, accountservice and two vipservices, all healthy."""
    world.start_config()
    world.start_account()
    world.start_vips(2)
    world.wait_healthy()
    return world
