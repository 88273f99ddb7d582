# SPDX-License-Identifier: MIT
"""The stack that script/test-swarm has deployed; the environment says which.

The tests run in the order of the file. Each leaves the stack whole, and all share one account of
what was read and what was counted: what is lost or doubled late is found by the next test.
"""
import os
import sys

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
for part in ("script/lib", "tests/e2e", "tests/fault", "tests/swarm"):
    sys.path.insert(0, os.path.join(ROOT, part))

from estate_of_swarm import SwarmEstate  # noqa: E402
from swarm_stack import STACK, Deployment  # noqa: E402


@pytest.fixture(scope="session")
def shared_estate():
    """Once for all."""
    assert STACK in os.environ, "there is no stack: these tests are run by script/test-swarm"
    return SwarmEstate(Deployment.from_environment())


@pytest.fixture
def estate(shared_estate):
    """The stack, whole, with the number of replicas that it is deployed with."""
    shared_estate.make_whole()
    return shared_estate
