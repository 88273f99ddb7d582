# SPDX-License-Identifier: MIT
"""configserver with remote repositories: what is served while they are there, away, and back."""
import json
import os
import pathlib
import re
import socket
import subprocess
import time

import pytest
import requests

from git_servers import HttpServer, Origin, SshServer, git, make_key


class ConfigServer:
    """configserver with these settings below spring.cloud.config.server.git."""

    def __init__(self, programs, directory, **settings):
        self.log_path = directory / f"configserver-{len(list(directory.glob('configserver-*')))}.log"
        lines = ["spring:", "  cloud:", "    config:", "      server:", "        git:"]
        lines += [f"          {name.replace('_', '-')}: {json.dumps(str(value))}" for name, value in settings.items()]
        config = self.log_path.with_suffix(".yml")
        config.write_text("\n".join(lines) + "\n")
        self._log = open(self.log_path, "wb")
        env = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
        program = os.path.join(programs, "configserver")
        self._process = subprocess.Popen([program, "-config", str(config), "-port", "0"], env=env,
                                         stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        self.port = None
        self.wait(lambda: self._find_port(), "it does not serve HTTP")

    def _find_port(self):
        found = re.search(r"serving HTTP on port (\d+)", self.log_path.read_text())
        self.port = found and int(found.group(1))
        return self.port

    def wait(self, condition, what):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log_path.read_text()
            got = condition()
            if got:
                return got
            time.sleep(0.01)
        raise AssertionError(f"{what}:\n{self.log_path.read_text()}")

    def get(self, path):
        return requests.get(f"http://127.0.0.1:{self.port}{path}", timeout=20)

    def value(self, path="/app/default", key="a"):
        """The value that wins; None while there is no answer."""
        answer = self.get(path)
        sources = answer.json()["propertySources"] if answer.status_code == 200 else []
        return next((source["source"][key] for source in sources if key in source["source"]), None)

    def wait_for_value(self, wanted, path="/app/default"):
        self.wait(lambda: self.value(path) == wanted, f"{path} does not become {wanted}")

    def close(self):
        self._process.terminate()
        code = self._process.wait(20)
        self._log.close()
        assert code == 0, self.log_path.read_text()


@pytest.fixture
def closing():
    things = []
    yield lambda thing: (things.append(thing), thing)[1]
    for thing in reversed(things):
        thing.close()


@pytest.fixture
def origin(tmp_path):
    (tmp_path / "served").mkdir()
    made = Origin(tmp_path / "served")
    made.commit({"app.yml": "a: 1\n"})
    return made


@pytest.fixture(autouse=True)
def own_tmp(tmp_path, monkeypatch):
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    yield
    assert list(directory.iterdir()) == []


def test_news_are_fetched_and_an_outage_is_survived(programs, origin, tmp_path, closing):
    remote = closing(HttpServer(origin.bare.parent, {"joe": "s3cret-w0rd"}))
    server = closing(ConfigServer(programs, tmp_path, uri=remote.url(), username="joe", password="s3cret-w0rd",
                                  refresh_rate=1, timeout=1))
    server.wait_for_value(1)
    environment = server.get("/app/default").json()
    assert environment["propertySources"][0]["name"] == remote.url() + "/app.yml"
    assert environment["version"] == git(origin.work, "rev-parse", "HEAD")
    origin.commit({"app.yml": "a: 2\n"})
    server.wait_for_value(2)
    remote.hangs = True
    remote.wait_for_requests(remote.n_requests + 1)
    began = time.monotonic()
    assert server.value() == 2
    assert time.monotonic() - began < 0.9  # less than the fetch that hangs at this moment
    remote.hangs = False
    origin.commit({"app.yml": "a: 3\n"})
    server.wait_for_value(3)
    remote.status = 503
    remote.wait_for_requests(remote.n_requests + 1)
    server.wait(lambda: "the host cannot answer" in server.log_path.read_text(), "the log does not say what is wrong")
    assert server.value() == 3
    remote.status = None
    origin.commit({"app.yml": "a: 4\n"})
    server.wait_for_value(4)
    assert "s3cret" not in server.log_path.read_text()
    assert server.get("/app/default/nowhere").status_code == 404


def test_a_restart_while_the_remote_is_away_serves_what_was_fetched(programs, origin, tmp_path, closing):
    remote = HttpServer(origin.bare.parent)
    settings = {"uri": remote.url(), "basedir": tmp_path / "mirrors", "refresh_rate": 1}
    first = ConfigServer(programs, tmp_path, **settings)
    first.wait_for_value(1)
    first.close()
    remote.close()
    second = closing(ConfigServer(programs, tmp_path, **settings))
    second.wait_for_value(1)
    assert "what was fetched before the start is served" in second.log_path.read_text()


def test_over_ssh(programs, origin, tmp_path, closing):
    directory = tmp_path / "ssh"
    directory.mkdir(mode=0o700)
    key = make_key(directory / "client", "s3cret phrase")
    remote = closing(SshServer(directory, key))
    server = closing(ConfigServer(programs, tmp_path, uri=remote.url(origin.bare), private_key=key.read_text(),
                                  passphrase="s3cret phrase", known_hosts_file=remote.known_hosts(), refresh_rate=1))
    server.wait_for_value(1)
    origin.commit({"app.yml": "a: 2\n"})
    server.wait_for_value(2)
    assert "s3cret" not in server.log_path.read_text()


def test_a_repository_for_each_application(programs, origin, tmp_path, closing):
    Origin(origin.bare.parent, "other.git").commit({"other.yml": "a: other\n"})
    remote = closing(HttpServer(origin.bare.parent))
    base = tmp_path / "mirrors"
    server = ConfigServer(programs, tmp_path, uri=remote.url("{application}.git"), basedir=base)
    server.wait_for_value("other", "/other/default")
    assert server.get("/--upload-pack/default").status_code in (400, 404)
    server.wait(lambda: server.get("/nowhere/default").status_code == 404, "an unknown repository is not 404")
    server.close()
    assert len(list(pathlib.Path(base).iterdir())) == 1


def test_nobody_there_is_no_reason_not_to_start(programs, tmp_path, closing):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        server = closing(ConfigServer(programs, tmp_path, uri=f"http://127.0.0.1:{taken.getsockname()[1]}/x.git"))
        server.wait(lambda: "cannot be reached" in server.get("/app/default").text, "it does not say why")
        answer = server.get("/app/default")
        assert answer.status_code == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert server.get("/health").json()["status"] == "DOWN"
