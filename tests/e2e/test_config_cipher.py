# SPDX-License-Identifier: MIT
"""Encrypted values from a repository to clients, by configserver and by the tool; and a repository without faults."""
import os
import subprocess

import pytest
import requests

import system
from world import HOST, ON_BUS

V2 = "application/vnd.spring-cloud.config-server.v2+json"
# "mysecret" with the key "foo": from the documentation of Spring Cloud Config.
CIPHER = "682bc583f4641835fa2db009355293665d2647dade3375c0ee201de2a49f7bda"
KEY = "foo"
NOT_OURS = {"status": "INVALID", "description": "Text not encrypted with this key"}

pytestmark = ON_BUS


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "config.key"
    path.write_text(KEY + "\n", encoding="utf-8")
    path.chmod(0o600)
    return str(path)


@pytest.fixture
def server(world, key_file, tmp_path):
    """The URL of a configserver with a key."""
    settings = tmp_path / "server.yml"
    settings.write_text(f"encrypt.key-file: {key_file}\n", encoding="utf-8")
    world.write_config("foo.yml", f"password: '{{cipher}}{CIPHER}'\nplain: 1\nlink: ${{password}}\n")
    world.write_config("broken.yml", "a: 1\nsecret: '{cipher}00'\n")
    world.start_config(config=settings)
    return f"http://{HOST}:{world.config_port}"


def tool(*words, **run):
    """Run `godwit config` with these words."""
    path = os.path.join(os.environ["GODWIT_BIN"], "godwit")
    return subprocess.run([path, "config", *words], capture_output=True, text=True, timeout=30, check=False, **run)


def test_clients_get_plain_values(world, server):
    source = requests.get(f"{server}/foo/dev", timeout=10).json()["propertySources"][0]["source"]
    assert source == {"password": "mysecret", "plain": 1, "link": "${password}"}
    second = requests.get(f"{server}/foo/dev", headers={"Accept": V2}, timeout=10).json()
    values = second["propertySources"][0]["source"]
    assert values["password"] == "mysecret"  # without an origin
    assert values["plain"] == {"value": 1, "origin": "2:8"}
    assert requests.get(f"{server}/foo-dev.json", timeout=10).json()["link"] == "mysecret"
    assert "mysecret" not in requests.get(f"{server}/explain/foo/dev", timeout=10).text
    assert "mysecret" not in world.config.output()
    assert "there are no users: whoever reaches this port may read, decrypt and refresh" in world.config.output()


def test_what_does_not_open_is_marked(world, server):
    source = requests.get(f"{server}/broken/dev", timeout=10).json()["propertySources"][0]["source"]
    assert source == {"a": 1, "invalid.secret": "<n/a>"}
    world.config.wait_lines("broken.yml:2")


def test_encrypt_and_decrypt(server):
    assert requests.get(f"{server}/encrypt/status", timeout=10).json() == {"status": "OK"}
    for headers in ({"Content-Type": "text/plain"}, {}):
        sealed = requests.post(f"{server}/encrypt", data="my secret", timeout=10, headers=headers)
        assert sealed.status_code == 200 and sealed.headers["Cache-Control"] == "no-store"
        plain = requests.post(f"{server}/decrypt/foo/dev", data=sealed.text, timeout=10)
        assert (plain.status_code, plain.text) == (200, "my secret")
    form = requests.post(f"{server}/encrypt", data="a%26b%3D", timeout=10,
                         headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert requests.post(f"{server}/decrypt", data=form.text, timeout=10).text == "a&b="
    for text in ("", "00", CIPHER[:-2] + "00", CIPHER + "00"):
        wrong = requests.post(f"{server}/decrypt", data=text, timeout=10)
        assert (wrong.status_code, wrong.json()) == (400, NOT_OURS)
    assert requests.get(f"{server}/key", timeout=10).json()["status"] == "NOT_FOUND"
    assert requests.get(f"{server}/decrypt", timeout=10).status_code == 405


def test_without_a_key(world):
    world.start_config()
    for method, path in (("GET", "/encrypt/status"), ("POST", "/encrypt"), ("POST", "/decrypt"), ("GET", "/key")):
        answer = requests.request(method, f"http://{HOST}:{world.config_port}{path}", data="x", timeout=10)
        assert (answer.status_code, answer.json()["status"]) == (404, "NO_KEY"), path


def test_the_tool_and_the_server_agree(world, server, key_file):
    got = tool("get", "foo/dev", "--url", server)
    assert got.returncode == 0, got.stderr
    assert "mysecret" not in got.stdout and "password" in got.stdout
    assert tool("get", "foo/dev", "--url", server, "--key", "password").stdout == "mysecret\n"
    assert "link: mysecret" in tool("get", "foo/dev", "--url", server, "--format", "yaml").stdout
    explained = tool("explain", "foo/dev", "plain", "--url", server)
    assert explained.stdout.startswith("plain = 1  (foo.yml:2)\n"), explained.stderr
    assert tool("explain", "foo/dev", "plain", "--repo", world.repository).stdout == explained.stdout

    sealed = tool("encrypt", "--key-file", key_file, input="other\n").stdout.strip()
    assert requests.post(f"{server}/decrypt", data=sealed, timeout=10).text == "other"
    linted = tool("lint", "--key-file", key_file, world.repository)
    assert linted.returncode == 1
    assert "broken.yml:2: error: the value of 'secret' cannot be decrypted with this key\n" in linted.stdout
    system.git(world.repository, "rm", "-q", "broken.yml")
    assert tool("lint", "--key-file", key_file, world.repository).returncode == 0


@pytest.mark.usefixtures("carrier")
def test_a_key_that_is_missing_is_named_with_its_setting(tmp_path):
    settings = tmp_path / "server.yml"
    settings.write_text(f"encrypt.key-file: {tmp_path}/none\n", encoding="utf-8")
    path = os.path.join(os.environ["GODWIT_BIN"], "configserver")
    run = subprocess.run([path, "-config", settings, "-dir", tmp_path, "-port", "0"], capture_output=True, text=True,
                         timeout=30, check=False)
    assert run.returncode == 1
    assert f"encrypt.key-file: {tmp_path}/none: No such file" in run.stderr
