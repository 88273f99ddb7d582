# SPDX-License-Identifier: MIT
"""deploy/kubernetes against the programs: they know what is set, and answer what is asked of them.

They run as the manifests say, but for addresses and directories: with the configuration mounted as
Kubernetes mounts it, and the broker away, as it may be for a while in a cluster.
"""
import os
import re
import shutil
import subprocess
import sys

import pytest
import requests
import yaml

import manifests
from manifests import PROGRAMS, ROOT, container_of, environment_of

sys.path.insert(0, str(ROOT / "script" / "lib"))

import processes  # noqa: E402
from service import Service  # noqa: E402

BIN = os.path.abspath(os.environ.get("GODWIT_BIN", ROOT / "build" / "release" / "bin"))
SERVICES = ("accountservice", "vipservice")
NOBODY = "amqp://nobody@127.0.0.1:1/"  # refuses connections
OWN_VARIABLES = {"AMQP_USER"}  # of a manifest, for its other variables


@pytest.fixture(scope="module")
def stack():
    """The whole of it; both stacks have the same base."""
    return manifests.load("trial")


def workload(stack, name):
    """What runs a program."""
    return next(one for one in stack.workloads() if one["metadata"]["name"] == name)


def configuration(stack):
    """{file: text} of what configserver serves."""
    return stack.named("ConfigMap", "godwit-configuration")["data"]


def ask(program, flag):
    """What a program prints."""
    return subprocess.run([os.path.join(BIN, program), flag], check=True, capture_output=True,
                          text=True, timeout=20).stdout


def keys_of(program):
    """The configuration keys that it knows."""
    return set(re.findall(r"(?m)^\| `(\w+)` \|", ask(program, "--keys")))


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_variables_are_known(stack, program):
    """A misspelt one would do nothing."""
    known = {f"GODWIT_{key.upper()}" for key in keys_of(program)}
    known |= set(re.findall(r"GODWIT_\w+", ask(program, "--help")))
    for name in set(environment_of(workload(stack, program))) - OWN_VARIABLES:
        assert name.removesuffix("_FILE") in known, f"{program} does not know {name}"


def test_keys_of_the_configuration_are_known(stack):
    """So would a misspelt key."""
    for file, text in configuration(stack).items():
        readers = SERVICES if file == "application.yml" else (file.removesuffix(".yml"),)
        for key in yaml.safe_load(text):
            for program in readers:
                assert key in keys_of(program), f"{file}: {program} does not know {key}"


# ---- running -----------------------------------------------------------------------------------

def mount(directory, files, version="..2026_11_25"):
    """As the kubelet does: the names lead through a link that it exchanges at once."""
    os.makedirs(os.path.join(directory, version))
    for name, text in files.items():
        with open(os.path.join(directory, version, name), "w", encoding="utf-8") as out:
            out.write(text)
        if not os.path.lexists(os.path.join(directory, name)):
            os.symlink(f"..data/{name}", os.path.join(directory, name))
    os.symlink(version, os.path.join(directory, "..data_tmp"))
    os.rename(os.path.join(directory, "..data_tmp"), os.path.join(directory, "..data"))


class Running:
    """The programs of the manifests in one directory."""

    def __init__(self, stack, directory):
        self.stack = stack
        self.directory = str(directory)
        self.all = {}
        self.mounted = os.path.join(self.directory, "configuration")
        os.makedirs(self.mounted)
        # What a cluster has and this test has not: the stores are files instead of PostgreSQL.
        self.files = {name: re.sub(r"(?m)^(account|vip)_store:.*\n", "", text)
                      for name, text in configuration(stack).items()}
        mount(self.mounted, self.files)

    def start(self, name, **changed):
        """Start a program, with the manifest's variables but for some."""
        port = processes.free_ports(1)[0]
        said = {key: value for key, value in environment_of(workload(self.stack, name)).items()
                if key not in OWN_VARIABLES and key != "GODWIT_STORE_PASSWORD_FILE"}
        unknown = set(changed) - set(said)
        assert not unknown, f"the manifest of {name} does not set {unknown}"
        own = {"GODWIT_SERVER_PORT": str(port), "GODWIT_SERVER_ADDRESS": "127.0.0.1"}
        if name == "configserver":
            own = {"GODWIT_PORT": str(port), "GODWIT_SERVER_ADDRESS": "127.0.0.1"}
        self.all[name] = Service(
            name, [os.path.join(BIN, name)], port, cwd=self.directory,
            env={"PATH": os.environ["PATH"], processes.MARK: self.directory, **said, **own,
                 **changed}, log_path=os.path.join(self.directory, f"{name}.log")).start()
        self.all[name].wait_lines(r"serving HTTP")
        return self.all[name]

    def start_all(self, broker):
        """configserver, and the services that read from it."""
        config = self.start("configserver", GODWIT_DIR=self.mounted, GODWIT_AMQP=broker)
        for name in SERVICES:
            changed = {"GODWIT_CONFIG_SERVER_URL": f"http://127.0.0.1:{config.port}",
                       "GODWIT_AMQP_SERVER_URL": broker,
                       "GODWIT_OUTBOX_DIR": os.path.join(self.directory, f"{name}-outbox")}
            if name == "accountservice":
                changed["GODWIT_CONFIG_CACHE"] = os.path.join(self.directory, "cache")
            self.start(name, **changed)
        return self

    def get(self, name, path):
        """The answer of a program."""
        return requests.get(f"http://127.0.0.1:{self.all[name].port}{path}", timeout=5)

    def end(self):
        """Stop all of it; each must say that it did."""
        codes = {name: service.stop() for name, service in reversed(self.all.items())}
        assert set(codes.values()) <= {0}, codes


@pytest.fixture
def running(stack, tmp_path, request):
    """All three, without a broker, unless ON_BUS stands above the test."""
    made = Running(stack, tmp_path).start_all(getattr(request, "param", NOBODY))
    yield made
    made.end()
    shutil.rmtree(tmp_path)


ON_BUS = pytest.mark.parametrize("running", ["bus:bus"], indirect=True)


def probe(stack, running, name, kind):
    """The status that a probe of the manifests gets."""
    path = container_of(workload(stack, name))[kind]["httpGet"]["path"]
    return running.get(name, path).status_code


def test_probes_while_the_broker_is_away(stack, running):
    """No program is restarted for it; accountservice goes on answering, vipservice is not ready."""
    for name in PROGRAMS:
        assert probe(stack, running, name, "startupProbe") == 200, name
        assert probe(stack, running, name, "livenessProbe") == 200, name
    assert probe(stack, running, "configserver", "readinessProbe") == 200
    assert probe(stack, running, "accountservice", "readinessProbe") == 200
    assert probe(stack, running, "vipservice", "readinessProbe") == 503
    for account in ("10000", "10001"):  # one of them a VIP, whose notification waits in the outbox
        assert running.get("accountservice", f"/accounts/{account}").status_code == 200


def test_the_configuration_is_read(stack, running):
    """All of it, with the profile and label of the manifests."""
    for name in SERVICES:
        wanted = yaml.safe_load(configuration(stack)["application.yml"])
        settings = running.get(name, "/config").json()["settings"]
        found = {one["key"]: one["value"] for one in settings}
        wanted = {key: value for key, value in wanted.items() if key in found}
        assert len(wanted) >= 3
        assert {key: found[key] for key in wanted} == wanted


@ON_BUS
def test_a_changed_configmap_reaches_the_services(running):
    """As the kubelet exchanges it: configserver sees it, tells of it, and nobody is restarted."""
    running.files["accountservice.yml"] = re.sub(r"vip_accounts:.*", 'vip_accounts: ["10007"]',
                                                 running.files["accountservice.yml"])
    mount(running.mounted, running.files, "..2026_11_26")
    running.all["accountservice"].wait_lines(r"changed: vip_accounts")
