# SPDX-License-Identifier: MIT
"""configserver as clients that others wrote see it: each test asks and reads as that client does."""
import http.client
import json
import re

import pytest

import system
from world import HOST, ON_BUS

V2 = "application/vnd.spring-cloud.config-server.v2+json"
SETTINGS = """\
spring.cloud.config.server.overrides:
  top: server
  link: \\${who}
"""
FILES = {
    "application-qa.yml": "who: application-qa\nshared: 1\n",
    "shop.yml": "who: shop\nport: 1\nplain: yes\nlist: [a, b, c]\ntop: file\n---\n"
                "spring.config.activate.on-profile: qa\nwho: shop-document\nport: 2\n",
    "shop-qa.yml": "list: [z]\n",
    "shop-qa-2.yml": "port: 3\n",
    "shop-qa.conf": "who ${who}\n",
}

pytestmark = ON_BUS


@pytest.fixture
def server(world, tmp_path):
    """A configserver with FILES on main and on feature/x."""
    settings = tmp_path / "server.yml"
    settings.write_text(SETTINGS, encoding="utf-8")
    for name, text in FILES.items():
        world.write_config(name, text)
    system.git(world.repository, "branch", "feature/x")
    world.start_config(config=settings)
    return world.config_port


def ask(port, path, method="GET", **headers):
    """With these headers and no other: (status, headers, body)."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def as_spring(environment, profiles):
    """The properties as a Spring Boot client has them. It takes the sources of profiles out of the list by their
    names, puts them above the others, and keeps one source of a name; `overrides` it knows by name, too."""
    plain, specific, overrides = [], [], []
    names = [source["name"] for source in environment["propertySources"]]
    assert len(names) == len(set(names))
    for source in environment["propertySources"]:
        name = f"configserver:{source['name']}"
        is_specific = any(re.fullmatch(f".*[-,]{re.escape(profile)}\\b.*", name) for profile in profiles)
        kind = overrides if name == "configserver:overrides" else specific if is_specific else plain
        kind.append(source["source"])
    found = {}
    for source in reversed(overrides + specific + plain):
        lists = {key.split("[")[0] for key in source if "[" in key}
        found = {key: value for key, value in found.items() if key.split("[")[0] not in lists}
        for key, value in source.items():
            has_origin = isinstance(value, dict)
            if has_origin:
                assert set(value) == {"value", "origin"} and re.fullmatch(r"\d+:\d+", value["origin"])
            found[key] = value["value"] if has_origin else value
    return found


WANTED = {"top": "server", "link": "${who}", "who": "application-qa", "shared": 1, "list[0]": "z", "port": 2,
          "plain": True, "spring.config.activate.on-profile": "qa"}


@pytest.mark.parametrize("label", ["", "/main", "/feature(_)x", "/feature%28_%29x"])
@pytest.mark.parametrize("accept", [V2, "application/json, application/*+json"])
def test_a_spring_client(server, label, accept):
    """Boot 2.4 and later ask for the second format, those before for JSON."""
    status, headers, body = ask(server, f"/shop/qa{label}", Accept=accept, X_Config_State="", X_Config_Token="t")
    assert status == 200
    assert headers["Content-Type"] == (V2 if accept == V2 else "application/json")
    environment = json.loads(body)
    assert set(environment) == {"name", "profiles", "label", "version", "state", "propertySources"}
    assert environment["name"] == "shop" and environment["profiles"] == ["qa"] and environment["state"] == ""
    assert environment["label"] == {"": None, "/main": "main"}.get(label, "feature/x")
    assert re.fullmatch("[0-9a-f]{40}", environment["version"])
    found = as_spring(environment, ["qa"])
    assert {key: found.get(key) for key in WANTED} == WANTED
    # Boot's order and the server's own are the same.
    names = [source["name"].rsplit("/", 1)[-1] for source in environment["propertySources"]]
    assert names[:5] == ["overrides", "shop-qa.yml", "application-qa.yml", "shop.yml (document #1)",
                         "shop.yml (document #0)"]
    assert all(source["name"].startswith("file://") for source in environment["propertySources"][1:])


def test_several_profiles_of_a_spring_client(server):
    """They come as one text with commas, encoded or not, and go back as one."""
    for path in ("/shop/qa,qa-2", "/shop/qa%2Cqa-2"):
        environment = json.loads(ask(server, path, Accept=V2)[2])
        assert environment["profiles"] == ["qa,qa-2"]
        assert as_spring(environment, ["qa", "qa-2"])["port"] == 3


def test_a_goblog_client(server):
    """Go's http.Get says nothing of what it accepts, and goblog puts the first source into viper, and no other."""
    status, headers, body = ask(server, "/shop/qa-2/main", User_Agent="Go-http-client/1.1", Accept_Encoding="gzip")
    assert status == 200 and headers["Content-Encoding"] is None
    sources = json.loads(body)["propertySources"]
    assert all(not isinstance(value, dict) for source in sources for value in source["source"].values())
    assert sources[0]["name"] == "overrides"  # so overrides are not for goblog
    assert sources[1]["source"] == {"port": 3}


def test_overrides_are_there_for_an_unknown_application(server, world):
    """Where nothing is shared they are all that it has; goblog ends at an empty list."""
    system.git(world.repository, "checkout", "-q", "--orphan", "bare")
    system.git(world.repository, "rm", "-rfq", ".")
    world.write_config("other.yml", "a: 1\n")
    sources = json.loads(ask(server, "/unknown/default/bare")[2])["propertySources"]
    assert [source["name"] for source in sources] == ["overrides"]
    sources = json.loads(ask(server, "/other/default/bare")[2])["propertySources"]
    assert [source["source"] for source in sources[1:]] == [{"a": 1}]


def test_a_browser(server):
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"
    for path, kind in (("/shop/qa", "application/json"), ("/shop-qa.yml", "text/plain;charset=UTF-8"),
                       ("/shop-qa.json", "application/json"), ("/explain/shop/qa", "text/html;charset=UTF-8"),
                       ("/shop/qa/main/shop.conf", "text/plain;charset=UTF-8")):
        status, headers, body = ask(server, path, Accept=accept, Accept_Encoding="gzip, deflate, br")
        assert (status, headers["Content-Type"]) == (200, kind) and body
    assert ask(server, "/shop/qa/main/shop.conf")[2] == b"who application-qa\n"
    assert ask(server, "/favicon.ico", Accept=accept)[0] == 404


@pytest.mark.parametrize("path", ["/shop/qa", "/shop/qa/main", "/shop-qa.yml", "/shop-qa.properties", "/shop-qa.json",
                                  "/main/shop-qa.yaml", "/shop/qa/main/shop.conf", "/shop/qa/shop.conf?useDefaultLabel",
                                  "/explain/shop/qa", "/key", "/encrypt/status", "/actuator/health", "/health",
                                  "/shop/qa/nope", "/shop.yml", "/%2e%2e/qa"])
def test_head_is_get_without_a_body(server, path):
    status, headers, body = ask(server, path)
    assert body
    again, same, nothing = ask(server, path, "HEAD")
    assert (again, nothing) == (status, b"")
    for name in ("Content-Type", "ETag", "Last-Modified", "Cache-Control", "Vary"):
        assert same[name] == headers[name], name
    etag = headers["ETag"]
    if etag:
        assert ask(server, path, If_None_Match=etag)[0] == ask(server, path, "HEAD", If_None_Match=etag)[0] == 304
