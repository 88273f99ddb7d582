# SPDX-License-Identifier: MIT
"""configserver's HTTP face, as its clients use it: flat forms, the second format, labels, files, explanations, ETags,
waiting for a change."""
import html.parser
import threading
import time

import pytest
import requests

import system
from world import HOST, ON_BUS, eventually

V2 = "application/vnd.spring-cloud.config-server.v2+json"
FILES = {
    "application.yml": "shared: 1\nlist: [a, b, c]\ndb:\n  password: hunter2\n",
    "foo.yml": 'port: 1\nlist: [d]\ntext: "port ${port}"\nflag: on\n',
    "foo-dev.yml": "port: 2\n",
    "nginx.conf": "listen ${port:80};\n",
    "nginx-dev.conf": "listen ${port}; # dev\n",
    "broken.yml": "a: 1\na: 2\n",
}

pytestmark = ON_BUS


@pytest.fixture
def server(world):
    """A running configserver with FILES, as a function that gets a path of it."""
    for name, text in FILES.items():
        with open(f"{world.repository}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
    world.write_config("nginx.conf", FILES["nginx.conf"])
    world.start_config()

    def get(path, **headers):
        return requests.get(f"http://{HOST}:{world.config_port}{path}", timeout=70, allow_redirects=False,
                            headers={name.replace("_", "-"): value for name, value in headers.items()})

    get.world = world
    return get


def test_flat_forms(server):
    assert server("/foo-dev.json").json() == {
        "shared": 1, "port": 2, "text": "port 2", "flag": True, "list": ["d"], "db": {"password": "hunter2"}}
    text = server("/foo-dev.yml").text
    assert "port: 2\n" in text and "text: port 2\n" in text and "list:\n- d\n" in text
    assert server("/foo-dev.yaml").text == text
    assert server("/main/foo-dev.yml").text == text
    lines = server("/foo-dev.properties").text.split("\n")
    assert "list[0]: d" in lines and "port: 2" in lines and "flag: true" in lines
    assert "text: port ${port}\n" in server("/foo-dev.yml?resolvePlaceholders=false").text
    assert server("/foo-default.json").json()["port"] == 1
    assert server("/foo.yml").status_code == 404
    assert server("/foo/dev.yml").status_code == 404
    for path in ("/foo-dev.yml", "/foo-dev.properties"):
        assert server(path).headers["Content-Type"].startswith("text/plain")


def test_the_second_format(server):
    flat = server("/foo/dev")
    assert flat.headers["Content-Type"] == "application/json"
    assert flat.json()["propertySources"][0]["source"] == {"port": 2}
    second = server("/foo/dev", Accept=V2)
    assert second.headers["Content-Type"] == V2
    assert second.json()["propertySources"][0]["source"] == {"port": {"value": 2, "origin": "1:7"}}
    assert second.headers["ETag"] != flat.headers["ETag"]


def test_labels(server):
    world = server.world
    system.git(world.repository, "checkout", "-q", "-b", "feature/x")
    world.write_config("foo-dev.yml", "port: 3\n")
    system.git(world.repository, "checkout", "-q", "main")

    def port(label):
        return server(f"/{label}/foo-dev.json").json().get("port")

    assert port("feature(_)x") == 3 and port("main") == 2
    assert port("main,feature(_)x") == 3 and port("feature(_)x,main") == 2
    answer = server("/foo/dev/feature(_)x").json()
    assert answer["label"] == "feature/x"
    both = server("/foo/dev/main,feature(_)x").json()["version"]
    assert both.split(",")[1] == answer["version"] and len(both) == 81
    assert server("/foo/dev/nope").status_code == 404
    assert server("/foo/dev/main,nope").status_code == 404


def test_plain_files(server):
    assert server("/foo/dev/main/nginx.conf").text == "listen 2; # dev\n"
    assert server("/foo/default/main/nginx.conf").text == "listen 1;\n"
    assert server("/foo/dev/nginx.conf?useDefaultLabel").text == "listen 2; # dev\n"
    raw = server("/foo/dev/main/nginx.conf", Accept="application/octet-stream")
    assert raw.content == b"listen ${port}; # dev\n"
    assert raw.headers["Content-Type"] == "application/octet-stream"
    first = server("/foo/dev/main/nginx.conf")
    assert server("/foo/dev/main/nginx.conf", If_Modified_Since=first.headers["Last-Modified"]).status_code == 304
    missing = server("/foo/dev/main/nope.txt")
    assert missing.status_code == 404 and "nope.txt" in missing.json()["message"]


@pytest.mark.parametrize("path", [
    "/foo/default/main/..%252f..%252fetc%252fpasswd", "/foo/default/main/..%2f..%2fetc%2fpasswd",
    "/foo/default/..(_)..(_)etc/passwd", "/..%252F..%252Fetc%2523/default", "/foo%23/default",
    "/foo/..%2f..%2fetc", "/foo/default/main/.git/config", "/foo/default/-x", "/foo%5c..%5cx/default"])
def test_hostile_paths_are_refused(server, path):
    """With no client in between that would tidy them up."""
    prepared = requests.Request("GET", "http://x/").prepare()
    prepared.url = f"http://{HOST}:{server.world.config_port}{path}"
    with requests.Session() as session:
        answer = session.send(prepared, timeout=10)
    assert answer.status_code == 400 and answer.json()["status"] == 400


def test_errors_have_the_members_of_both(server):
    answer = server("/broken/dev")
    assert answer.status_code == 500
    problem = answer.json()
    assert "broken.yml:2" in problem["detail"] and problem["message"] == problem["detail"]
    assert problem["path"] == "/broken/dev" and problem["status"] == 500 and problem["timestamp"]
    assert problem["title"] == problem["error"] == "Internal Server Error"


class Page(html.parser.HTMLParser):
    """Collects the table's rows; fails on tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.open, self.rows = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "tr" in self.open:
            self.rows[-1] += data + " "


def test_an_explanation(server):
    found = {item["key"]: item for item in server("/explain/foo/dev").json()["properties"]}
    port = found["port"]
    assert (port["value"], port["file"], port["line"]) == (2, "foo-dev.yml", 1)
    assert [(s["value"], s["file"]) for s in port["shadows"]] == [(1, "foo.yml")]
    assert [i["value"] for i in found["list"]["items"]] == ["d"]
    assert [i["value"] for i in found["list"]["shadows"][0]["items"]] == ["a", "b", "c"]
    assert found["db.password"]["value"] == "***"
    page = server("/explain/foo/dev?key=port", Accept="text/html,*/*;q=0.8")
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    rows = Page(page.text).rows
    assert len(rows) == 2 and "foo-dev.yml:1:7" in rows[1] and "foo.yml:1:7" in rows[1]
    assert "hunter2" not in server("/explain/foo/dev", Accept="text/html").text


def test_what_a_client_has_is_not_sent_again(server):
    first = server("/foo/dev")
    etag = first.headers["ETag"]
    again = server("/foo/dev", If_None_Match=etag)
    assert again.status_code == 304 and again.headers["ETag"] == etag and not again.content
    assert first.headers["X-Godwit-Wait"] == again.headers["X-Godwit-Wait"] == "60"
    server.world.write_config("other.yml", "a: 1\n")
    other = server("/foo/dev", If_None_Match=etag)
    assert other.status_code == 200
    assert other.headers["ETag"] != etag
    assert other.headers["ETag"].split(".")[1] == etag.split(".")[1]


def n_waiting(server):
    """How many requests wait for a change."""
    return next(int(line.split()[1]) for line in server("/metrics").text.splitlines()
                if line.startswith("godwit_http_waiting "))


def test_a_client_waits_for_its_change(server):
    etag = server("/foo/dev").headers["ETag"]
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(server("/foo/dev?wait=60s", If_None_Match=etag)))
    thread.start()

    eventually(lambda: n_waiting(server) == 1, 10, "a request that waits")
    server.world.write_config("other.yml", "a: 2\n")  # nothing for foo
    assert server("/other/dev").json()["propertySources"][0]["source"] == {"a": 2}
    assert n_waiting(server) == 1 and not answers
    began = time.monotonic()
    server.world.write_config("foo-dev.yml", "port: 9\n")
    thread.join(20)
    assert time.monotonic() - began < 15
    assert answers[0].status_code == 200
    assert answers[0].json()["propertySources"][0]["source"] == {"port": 9}


def test_a_wait_ends(server):
    etag = server("/foo/dev").headers["ETag"]
    answer = server("/foo/dev?wait=50ms", If_None_Match=etag)
    assert answer.status_code == 304 and answer.headers["ETag"] == etag
    assert server("/foo/dev?wait=soon").status_code == 400


def test_a_server_that_stops_answers_who_waits(server):
    etag = server("/foo/dev").headers["ETag"]
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(server("/foo/dev?wait=60s", If_None_Match=etag)))
    thread.start()
    eventually(lambda: n_waiting(server) == 1, 10, "a request that waits")
    assert server.world.config.stop() == 0
    thread.join(20)
    assert answers[0].status_code == 304


def test_health_says_how_each_repository_is(server):
    health = server("/actuator/health").json()
    repository = health["components"]["configServer"]["details"]["repositories"][0]
    assert health["status"] == "UP"
    assert repository["state"] == "fresh" and len(repository["version"]) == 40


def test_the_log_says_what_is_served(server):
    server.world.config.wait_lines(f"repository: default: {server.world.repository} is served")
