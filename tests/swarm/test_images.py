# SPDX-License-Identifier: MIT
"""The images that script/images has built: what is in them, and what they can do without.

GODWIT_SWARM_TAG says which; script/test-swarm sets it. Containers are removed with their test.
"""
import contextlib
import getpass
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "e2e"))
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import spdx  # noqa: E402
from git_servers import Origin, SshServer, make_key  # noqa: E402

SERVICES = {"accountservice": 6767, "vipservice": 6868, "configserver": 8888}
PROGRAMS = [*SERVICES, "healthchecker", "godwit"]
OTHERS = ["rabbitmq", "postgres", "gateway"]
DOCKER = "/usr/bin/docker" if os.access("/usr/bin/docker", os.X_OK) else "docker"
HARDENED = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
LARGEST = 25_000_000  # of accountservice, in bytes
# What the engine puts into each container.
OF_THE_ENGINE = ("dev/", "proc/", "sys/", ".dockerenv", "etc/hosts", "etc/hostname",
                 "etc/resolv.conf", "etc/mtab")
WAIT_S = 30
NO_CONFIG_SERVER = ["-configServerUrl", ""]


def docker(*arguments, check=True):
    """Run it; returns its standard output."""
    done = subprocess.run([DOCKER, *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                          check=False, timeout=180)
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr.decode()}"
    return done.stdout


def image(name):
    """With the tag under test."""
    assert "GODWIT_SWARM_TAG" in os.environ, "these tests are run by script/test-swarm"
    return f"godwit/{name}:{os.environ['GODWIT_SWARM_TAG']}"


def inspect(what, *kind):
    """What the engine knows of it."""
    return json.loads(docker(*kind, "inspect", what))[0]


def exported(name):
    """The whole file system of an image, as an open archive."""
    container = docker("create", image(name), "x").decode().strip()
    try:
        return tarfile.open(fileobj=io.BytesIO(docker("export", container)))
    finally:
        docker("rm", "-fv", container)


def files_of(name):
    """{path: content} of the regular files in an image, without those of the engine."""
    with exported(name) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar
                if member.isfile() and not member.name.startswith(OF_THE_ENGINE)}


def eventually(check, what):
    """Until it returns something true, which is returned."""
    deadline = time.monotonic() + WAIT_S
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what} did not happen within {WAIT_S} s"
        time.sleep(0.1)


@pytest.fixture(name="start")
def fixture_start():
    """Start a container, hardened; returns its id. It is removed after the test."""
    with contextlib.ExitStack() as stack:
        def start(name, *options, arguments=()):
            container = docker("run", "-d", *HARDENED, *options, image(name),
                               *arguments).decode().strip()
            stack.callback(docker, "rm", "-fv", container)
            return container
        yield start


@pytest.fixture(name="volume")
def fixture_volume():
    """An empty volume."""
    name = docker("volume", "create").decode().strip()
    yield name
    docker("volume", "rm", "-f", name)


def published(container, port):
    """The port on loopback."""
    return int(inspect(container)["NetworkSettings"]["Ports"][f"{port}/tcp"][0]["HostPort"])


def fetch(port, path):
    """The body of an answer; None while there is none."""
    try:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}",
                                         headers={"Accept": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except OSError:
        return None


# ---- what they are ----------------------------------------------------------------------

def test_accountservice_is_small():
    assert inspect(image("accountservice"), "image")["Size"] <= LARGEST


@pytest.mark.parametrize("name", PROGRAMS + OTHERS)
def test_configuration_of_the_image(name):
    made = inspect(image(name), "image")["Config"]
    user, group = made["User"].split(":")
    assert int(user) > 0 and int(group) > 0
    assert made["Entrypoint"][0].startswith("/"), "the exec form, with a path"
    labels = made["Labels"]
    for label in ("title", "description", "version", "revision", "created"):
        assert labels[f"org.opencontainers.image.{label}"] not in ("", "unknown")
    if name in SERVICES:
        check = made["Healthcheck"]
        assert check["Test"] == ["CMD", "/usr/bin/healthchecker"]
        assert check["Interval"] == check["Timeout"] == 3_000_000_000
        assert list(made["ExposedPorts"]) == [f"{SERVICES[name]}/tcp"]
        assert made["StopSignal"] == "SIGTERM" and "/var/lib/godwit" in made["Volumes"]


@pytest.mark.parametrize("name", PROGRAMS + OTHERS)
def test_no_file_makes_somebody_else_of_who_runs_it(name):
    with exported(name) as tar:
        assert [each.name for each in tar if each.isfile() and each.mode & 0o6000] == []


@pytest.mark.parametrize("name", PROGRAMS)
def test_version_and_commit(name):
    labels = inspect(image(name), "image")["Config"]["Labels"]
    said = docker("run", "--rm", *HARDENED, image(name), "--version").decode().strip()
    assert said == (f"{name} {labels['org.opencontainers.image.version']} "
                    f"(commit {labels['org.opencontainers.image.revision']})")


@pytest.mark.parametrize("name", PROGRAMS)
def test_sbom_is_valid_and_complete(name):
    files = files_of(name)
    own = f"usr/share/sbom/{name}.spdx.json"
    document = json.loads(files.pop(own))
    assert spdx.faults(document) == []
    listed = {entry["fileName"][2:]: entry["checksums"][0]["checksumValue"]
              for entry in document["files"]}
    assert listed == {path: hashlib.sha1(data).hexdigest() for path, data in files.items()}
    owned = {each["relatedSpdxElement"] for each in document["relationships"]}
    assert {entry["SPDXID"] for entry in document["files"]} <= owned
    labels = inspect(image(name), "image")["Config"]["Labels"]
    godwit = next(each for each in document["packages"] if each["name"] == "godwit")
    assert godwit["versionInfo"] == labels["org.opencontainers.image.version"]
    assert labels["org.opencontainers.image.revision"] in godwit["sourceInfo"]
    # No shell, no interpreter, no package manager.
    names = {os.path.basename(path) for path in files}
    assert not names & {"sh", "bash", "dash", "busybox", "perl", "python3", "apt", "dpkg"}
    assert not any(data.startswith(b"#!") for data in files.values())


@pytest.mark.parametrize("name", OTHERS)
def test_sbom_of_what_is_not_ours_names_each_package(name):
    sbom, packages = (docker("run", "--rm", *HARDENED, "--entrypoint", "/bin/cat", image(name),
                             path).decode()
                      for path in (f"/usr/share/sbom/{name}.spdx.json", "/usr/share/packages"))
    document = json.loads(sbom)
    assert spdx.faults(document) == []
    assert {each["name"] for each in document["packages"][1:]} == set(packages.split())
    real = docker("run", "--rm", *HARDENED, "--entrypoint", "/usr/bin/dpkg-query", image(name), "-W",
                  "-f", "${Package} ${Version}\\n").decode().split("\n")[:-1]
    assert {f"{each['name']} {each['versionInfo']}" for each in document["packages"][1:]} == set(real)


# ---- what they do -----------------------------------------------------------------------

@pytest.mark.parametrize("name", ["accountservice", "vipservice"])
def test_a_service_is_healthy_read_only_and_stops(name, start):
    container = start(name, "-e", "GODWIT_AMQP_SERVER_URL=bus:bus", "-p",
                      f"127.0.0.1::{SERVICES[name]}", arguments=NO_CONFIG_SERVER)
    eventually(lambda: inspect(container)["State"]["Health"]["Status"] == "healthy",
               f"{name}'s health check")
    health = fetch(published(container, SERVICES[name]), "/health")
    labels = inspect(image(name), "image")["Config"]["Labels"]
    assert health["commit"] == labels["org.opencontainers.image.revision"]
    docker("stop", container)
    assert inspect(container)["State"]["ExitCode"] == 0, docker("logs", container)


def test_an_outbox_survives_its_container(volume, start):
    """A message that no broker has yet is with the next container on the volume."""
    container = start("accountservice", "-e", "GODWIT_AMQP_SERVER_URL=amqp://127.0.0.1:1/", "-v",
                      f"{volume}:/var/lib/godwit", "-p", "127.0.0.1::6767",
                      arguments=NO_CONFIG_SERVER)
    port = published(container, 6767)
    assert eventually(lambda: fetch(port, "/accounts/10000"), "an answer")["id"] == "10000"
    docker("kill", container)
    waiting = docker("run", "--rm", *HARDENED, "-v", f"{volume}:/var/lib/godwit", image("godwit"),
                     "outbox", "export", "data/accountservice/outbox-6767").decode()
    assert waiting.count("\n") == 1 and "10000" in waiting


def test_containers_share_a_store_in_one_process_namespace(volume, start):
    """LMDB tells processes apart by pid: docs/containers.md."""
    first = None
    for number in (1, 2):
        container = start("vipservice", "-v", f"{volume}:/var/lib/godwit", "-e",
                          "GODWIT_AMQP_SERVER_URL=bus:bus", "-e", f"GODWIT_OUTBOX_DIR=outbox-{number}",
                          "-p", "127.0.0.1::6868", *([f"--pid=container:{first}"] if first else []),
                          arguments=NO_CONFIG_SERVER)
        first = first or container
        port = published(container, 6868)
        assert eventually(lambda: fetch(port, "/health"), "an answer")["status"] == "UP"
        assert fetch(port, "/vips") == []


def test_configserver_fetches_over_ssh_without_a_shell(start, tmp_path):
    """git and ssh are in the image, a shell is not."""
    origin = Origin(tmp_path)
    origin.commit({"app.yml": "a: 1\n"})
    ssh = tmp_path / "ssh"
    ssh.mkdir(mode=0o700)
    server = SshServer(ssh, make_key(ssh / "client"))
    try:
        secrets = tmp_path / "secrets"
        secrets.mkdir()
        shutil.copy(ssh / "client", secrets / "key")
        shutil.copy(server.known_hosts(), secrets / "known_hosts")
        (secrets / "settings.yml").write_text(
            "spring.cloud.config.server.git:\n"
            f"  uri: {server.url(origin.bare)}\n"
            "  private-key-file: /run/secrets/key\n"
            "  known-hosts-file: /run/secrets/known_hosts\n", encoding="utf-8")
        for path in secrets.iterdir():
            path.chmod(0o444)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        assert getpass.getuser() in server.url(origin.bare)
        container = start("configserver", "--network", "host", "--tmpfs", "/tmp", "-v",
                          f"{secrets}:/run/secrets:ro", "-e", "GODWIT_CONFIG=/run/secrets/settings.yml",
                          "-e", f"GODWIT_PORT={port}", "-e", "GODWIT_SERVER_ADDRESS=127.0.0.1")
        answer = eventually(lambda: fetch(port, "/app/default"), "a configuration out of git")
        assert answer["propertySources"][0]["source"] == {"a": 1}
        assert inspect(container)["State"]["Running"]
    finally:
        server.close()
