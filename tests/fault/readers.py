# SPDX-License-Identifier: MIT
"""Readers of a VIP account, who know precisely which of their reads were answered with 200.

A read is answered (the whole response came), refused (503 with Retry-After), absent (nobody took
the connection, so nothing was asked), or undecided: it was sent, and the connection broke before
the whole answer came. An undecided read may have been accepted by the service that died, and is
then counted, or may never have reached it. So what a vipservice counts in the end is at least the
number of 200s and at most that plus the undecided ones. A reader repeats a read that was not
answered at the next accountservice; it is another read, with a message id of its own.
"""
import collections
import http.client
import select
import socket
import threading
import time

import pika
import requests

HOST = "127.0.0.1"
TIMEOUT_S = 30
EVERYBODY_AWAY_S = 0.02


class Connection:
    """To one accountservice, kept alive."""

    def __init__(self, port):
        self._http = http.client.HTTPConnection(HOST, port, timeout=TIMEOUT_S)

    def close(self):
        """The next read connects again."""
        self._http.close()

    def connect(self):
        """Have a connection that was not closed by the other side. OSError: there is nobody."""
        sock = self._http.sock
        if sock and select.select([sock], [], [], 0)[0]:
            self._http.close()
        if not self._http.sock:
            self._http.connect()

    def read(self, path):
        """(status, headers, body) once the whole answer is there."""
        self._http.request("GET", path)
        answer = self._http.getresponse()
        return answer.status, answer.headers, answer.read()


class Readers:
    """Some threads that read on until they are told to stop. Use it in a `with`."""

    def __init__(self, ports, count=8, rate=1000, path="/accounts/10000"):
        self.path = path
        self.answered = self.undecided = self.absent = self.refused = self.unserved = 0
        self.errors = []
        self._ports = list(ports)
        self._pause_s = count / rate
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._read_on, args=(number,), daemon=True)
                         for number in range(count)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        """Finish the reads under way; from then on the numbers stand still."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def __str__(self):
        return (f"{self.answered} answered, {self.undecided} undecided, {self.refused} refused, "
                f"{self.absent} connections refused, {self.unserved} rounds without anybody")

    def wait_answered(self, more, timeout_s=60.0):
        """Wait until so many more reads were answered with 200."""
        self._wait(lambda: self.answered, more, timeout_s)

    def wait_refused(self, more, timeout_s=60.0):
        """The same for 503."""
        self._wait(lambda: self.refused, more, timeout_s)

    def _wait(self, number, more, timeout_s):
        with self._changed:
            wanted = number() + more
            done = self._changed.wait_for(lambda: number() >= wanted or self.errors, timeout_s)
        assert not self.errors, self.errors[:3]
        assert done, f"no {more} more within {timeout_s:g} s: {self}"

    def _add(self, name):
        with self._changed:
            setattr(self, name, getattr(self, name) + 1)
            self._changed.notify_all()

    def _read_on(self, number):
        connections = [Connection(port) for port in self._ports]
        at = number % len(connections)
        while not self._stop.is_set():
            start = time.monotonic()
            for _ in connections:
                if self._read(connections[at]):
                    break
                at = (at + 1) % len(connections)
            else:
                self._add("unserved")
                self._stop.wait(EVERYBODY_AWAY_S)
            self._stop.wait(max(0.0, self._pause_s - (time.monotonic() - start)))
        for connection in connections:
            connection.close()

    def _read(self, connection):
        """One read; whether there was an answer."""
        try:
            connection.connect()
        except OSError:
            connection.close()
            self._add("absent")
            return False
        try:
            status, headers, body = connection.read(self.path)
        except (OSError, http.client.HTTPException):
            connection.close()
            self._add("undecided")
            return False
        if status == 200:
            self._add("answered")
        elif status == 503 and headers["Retry-After"]:
            self._add("refused")
        else:
            with self._changed:
                self.errors.append((status, str(headers), body))
                self._changed.notify_all()
        return True


class Burst:
    """Reads over one connection without waiting for each answer, in this thread.

    For filling what needs tens of thousands. Tells by status how many answers came, and how many
    reads are undecided because the connection broke.
    """

    def __init__(self, port, path="/accounts/10000", at_once=200):
        self.found = collections.Counter()
        self.undecided = 0
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
        self._at_once = at_once

    def read(self, count):
        """So many, or until the connection breaks; returns itself."""
        n_open = 0
        try:
            with socket.create_connection((HOST, self._port), TIMEOUT_S) as sock, \
                    sock.makefile("rb") as answers:
                for start in range(0, count, self._at_once):
                    n_open = min(count - start, self._at_once)
                    sock.sendall(self._request * n_open)
                    while n_open > 0:
                        self._take(answers)
                        n_open -= 1
        except OSError:
            self.undecided += n_open
        return self

    def _take(self, answers):
        head = []
        while not head or head[-1] != b"\r\n":
            head.append(answers.readline())
            if not head[-1].endswith(b"\n"):
                raise ConnectionError("the answer is not whole")
        status = int(head[0].split()[1])
        headers = dict(line.split(b": ", 1) for line in head[1:-1])
        length = int(headers[b"Content-Length"])
        if len(answers.read(length)) < length:
            raise ConnectionError("the answer is not whole")
        assert status != 503 or b"Retry-After" in headers, headers
        self.found[status] += 1


class Tap:
    """The ids of all messages that the broker was given for a queue, by its tracing.

    Tells what was published, from a side that is not under test; it does not outlive the broker.
    """

    def __init__(self, world, queue):
        answer = requests.put(f"{world.broker.management_url}/api/vhosts/{world.vhost}",
                              json={"tracing": True}, auth=("guest", "guest"), timeout=10)
        assert answer.status_code < 300, answer.text
        self.ids = set()
        self.n_published = 0
        self._queue = queue
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(world.amqp_url,), daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(20), "the tap does not consume"
        return self

    def __exit__(self, *exc):
        self._stop.set()
        self._thread.join()

    def _run(self, amqp_url):
        conn = pika.BlockingConnection(pika.URLParameters(amqp_url))
        channel = conn.channel()
        mine = channel.queue_declare("", exclusive=True).method.queue
        channel.queue_bind(mine, "amq.rabbitmq.trace", "publish.#")
        channel.basic_consume(mine, self._take, auto_ack=True)
        self._ready.set()
        while not self._stop.is_set():
            conn.process_data_events(time_limit=0.1)
        conn.close()

    def _take(self, _channel, _method, properties, _body):
        if properties.headers["routing_keys"] == [self._queue]:
            self.n_published += 1
            self.ids.add(properties.headers["properties"]["message_id"])
