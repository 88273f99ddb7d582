#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Run the examples.

  examples/test_examples.py DIR            with the broker in memory
  examples/test_examples.py DIR bus        with an embedded bus of their own
  examples/test_examples.py DIR rabbitmq   with the one of the environment's GODWIT_TEST_AMQP_URL

DIR has the programs.
"""
import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import uuid

TIMEOUT_S = 20


def check(what, expected, got):
    if expected != got:
        raise AssertionError(f"{what}: expected {expected!r}, got {got!r}")


def get(port, path):
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        conn.request("GET", path)
        response = conn.getresponse()
        return response.status, response.read().decode()
    finally:
        conn.close()


def wait_line(process, pattern, seen):
    """Read the program's log up to a line that matches; the test's own timeout ends the wait."""
    for line in process.stderr:
        seen.append(line)
        found = re.search(pattern, line)
        if found:
            return found
    raise AssertionError(f"no line with {pattern!r}; it wrote:\n{''.join(seen)}")


def end(process, seen):
    """Ask it to stop; its whole log, and the exit status it must have."""
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=TIMEOUT_S)
    log = "".join(seen) + rest
    if process.returncode:
        raise AssertionError(f"ended with status {process.returncode}:\n{log}")
    return log


def start(command, **env):
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                            env={**os.environ, **env})


def test_greeter(directory):
    greeter = start([os.path.join(directory, "greeter")], GODWIT_SERVER_PORT="0",
                    GODWIT_AMQP_SERVER_URL="memory:examples")
    seen = []
    try:
        port = int(wait_line(greeter, r"serving HTTP on port (\d+)", seen)[1])
        check("GET /hello/Ada", (200, "hello, Ada\n"), get(port, "/hello/Ada"))
        wait_line(greeter, r"greeter: greeted Ada$", seen)
        check("GET /hello/ + 41 letters", 200, get(port, "/hello/" + 41 * "a")[0])
        wait_line(greeter, r"goes to 'greetings\.dead': a name of 41 bytes$", seen)
        check("GET /health", (200, '{"status":"UP"}'), get(port, "/health"))
        end(greeter, seen)
    finally:
        greeter.kill()
        greeter.wait()


def test_settings(directory):
    words = [os.path.join(directory, "settings"), "-configServerUrl", ""]
    weather = start(words, GODWIT_SERVER_PORT="0", GODWIT_TOWNS="Oslo,Bergen", GODWIT_UNIT="Fahrenheit",
                    GODWIT_API_KEY="hunter2")
    seen = []
    try:
        port = int(wait_line(weather, r"serving HTTP on port (\d+)", seen)[1])
        check("GET /towns", (200, "Oslo in fahrenheit\nBergen in fahrenheit\n"), get(port, "/towns"))
        status, config = get(port, "/config")
        check("GET /config", (200, True, False), (status, '"key":"api_key","value":"***"' in config,
                                                  "hunter2" in config))
        end(weather, seen)
    finally:
        weather.kill()
        weather.wait()
    done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
                          env={**os.environ, "GODWIT_UNIT": "kelvin", "GODWIT_EVERY": "0s"})
    check("settings with wrong values", 1, done.returncode)
    for text in ("key 'unit' = 'kelvin' from environment variable GODWIT_UNIT is not celsius or fahrenheit",
                 "key 'every' = '0s' from environment variable GODWIT_EVERY is not a duration"):
        check(f"{text!r} is said", True, text in done.stderr)


# What stands behind the name in the command lines of publish and subscribe.
TARGETS = (([], []), (["fanout"], ["fanout"]), (["topic", "europe.oslo"], ["topic", "europe.*"]))


def test_publish(directory):
    for to, _ in TARGETS:
        done = subprocess.run([os.path.join(directory, "publish"), "memory:examples", "q", "hello", *to],
                              capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        check("publish", (0, ""), (done.returncode, done.stderr))
        if not re.fullmatch(r"accepted as [0-9a-f-]{36}\n", done.stdout):
            raise AssertionError(f"publish printed {done.stdout!r}")


def test_wrong_words(directory):
    for program, words in (("publish", ["q", "hello", "topic"]), ("publish", ["q", "hello", "direct"]),
                           ("count_once", ["q"]), ("subscribe", ["q", "topic"]), ("subscribe", ["q", "fanout", "x"])):
        done = subprocess.run([os.path.join(directory, program), "memory:examples", *words],
                              capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        check(f"{program} {words}", (2, ""), (done.returncode, done.stdout))
        check(f"{program} {words} prints", "usage:", done.stderr[:6])


def test_subscribe(directory):
    for _, source in TARGETS:
        subscribe = start([os.path.join(directory, "subscribe"), "memory:examples", "q", *source])
        seen = []
        try:
            wait_line(subscribe, r"^subscribe: listening$", seen)
            end(subscribe, seen)
        finally:
            subscribe.kill()
            subscribe.wait()


def count_once(directory, url, queue, store, talk):
    """Run it until talk(its standard output) returns."""
    counter = start([os.path.join(directory, "count_once"), url, queue, store])
    seen = []
    try:
        wait_line(counter, r"^count_once: up", seen)
        talk(counter.stdout)
        end(counter, seen)
    finally:
        counter.kill()
        counter.wait()


def test_count_once(directory):
    with tempfile.TemporaryDirectory() as store:
        for _ in range(2):
            count_once(directory, "memory:examples", "q", store, lambda out: None)
    done = subprocess.run([os.path.join(directory, "count_once"), "memory:examples", "q", "/no/where"],
                          capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    check("count_once without a directory", (1, "count_once: the store: No such file or directory\n"),
          (done.returncode, done.stderr))


def broker_url():
    url = os.environ.get("GODWIT_TEST_AMQP_URL")
    if not url:
        raise AssertionError("GODWIT_TEST_AMQP_URL names no broker; script/test integration starts one")
    return url


def test_counts_go_on(directory, url):
    """In one store: what was counted is there after a restart."""
    queue = f"examples-{uuid.uuid4()}"
    number = 0

    def publish_two(out):
        nonlocal number
        for _ in range(2):
            subprocess.run([os.path.join(directory, "publish"), url, queue, "hello"], check=True,
                           capture_output=True, timeout=TIMEOUT_S)
            number += 1
            check("the count", f"{number}\n", out.readline())

    with tempfile.TemporaryDirectory() as store:
        for _ in range(2):
            count_once(directory, url, queue, store, publish_two)


def test_switch_broker(directory, url):
    """What waits on a bus is counted on RabbitMQ, and the count goes on."""
    script = os.path.join(os.path.dirname(os.path.realpath(__file__)), "switch_broker.sh")
    with tempfile.TemporaryDirectory() as parent:
        done = subprocess.run([script, os.path.dirname(os.path.realpath(directory)), f"{parent}/switch",
                               url.replace("guest:guest@", "")],
                              capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    check(f"switch_broker.sh, which says {done.stderr!r}", 0, done.returncode)
    check("the counts", ["1", "2", "3", "4"], re.findall(r"^\d+$", done.stdout, re.M))


def test_round_trip(directory, url):
    for to, source in TARGETS:
        check_round_trip(directory, url, to, source)


def check_round_trip(directory, url, to, source):
    name = f"examples-{uuid.uuid4()}"
    subscribe = start([os.path.join(directory, "subscribe"), url, name, *source])
    seen = []
    try:
        wait_line(subscribe, r"^subscribe: listening$", seen)
        publish = subprocess.run([os.path.join(directory, "publish"), url, name, "hello", *to],
                                 capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        check(f"publish, which says {publish.stderr!r}", 0, publish.returncode)
        check("what subscribe prints", "hello\n", subscribe.stdout.readline())
        end(subscribe, seen)
    finally:
        subscribe.kill()
        subscribe.wait()


class ConfigServer(http.server.BaseHTTPRequestHandler):
    """One that can wait for a change; `answer` is the class's."""
    greeting = "hello"
    changed = threading.Condition()

    def do_GET(self):
        with ConfigServer.changed:
            if "?wait=" in self.path:
                ConfigServer.changed.wait_for(lambda: ConfigServer.etag() != self.headers["If-None-Match"],
                                              timeout=TIMEOUT_S)
            body = json.dumps({"propertySources": [{"name": "greeter.yml", "source": {
                "greeting": {"value": ConfigServer.greeting, "origin": "3:11"}}}]}).encode()
            etag = ConfigServer.etag()
        self.send_response(200)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))),
                            ("ETag", etag), ("X-Godwit-Wait", "30")):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    @classmethod
    def etag(cls):
        return f'"{cls.greeting}"'

    @classmethod
    def change(cls, greeting):
        with cls.changed:
            cls.greeting = greeting
            cls.changed.notify_all()

    def log_message(self, *_):
        pass


def test_watch_config(directory):
    """It follows a change, and starts without the server from its file."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ConfigServer)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with tempfile.TemporaryDirectory() as parent:
        command = [os.path.join(directory, "watch_config"), url, f"{parent}/config"]
        follow_config(command)
        server.shutdown()
        server.server_close()
        again = start(command)
        try:
            check("without the server", "ahoy (from greeter.yml:3)\n", again.stdout.readline())
            log = end(again, [])
            check("a loud warning", True, "NO CONFIG SERVER" in log)
        finally:
            again.kill()
            again.wait()


def follow_config(command):
    program = start(command)
    try:
        check("at the start", "hello (from greeter.yml:3)\n", program.stdout.readline())
        ConfigServer.change("ahoy")
        check("after a change", "ahoy (from greeter.yml:3)\n", program.stdout.readline())
        end(program, [])
    finally:
        program.kill()
        program.wait()


def main(arguments):
    if len(arguments) not in (1, 2) or arguments[1:] not in ([], ["bus"], ["rabbitmq"]):
        sys.exit(__doc__.strip())
    if len(arguments) == 1:
        run((test_greeter, test_settings, test_publish, test_wrong_words, test_subscribe, test_count_once,
             test_watch_config), *arguments)
    elif arguments[1] == "bus":
        with tempfile.TemporaryDirectory() as parent:
            run((test_round_trip, test_counts_go_on), arguments[0], f"bus:{parent}/bus")
    else:
        run((test_round_trip, test_counts_go_on, test_switch_broker), arguments[0], broker_url())


def run(tests, *arguments):
    for test in tests:
        test(*arguments)
        print(f"{test.__name__}: passed")


main(sys.argv[1:])
