# SPDX-License-Identifier: MIT
"""A RabbitMQ node as this benchmark looks at it: its CPU time, memory, descriptors, its queues."""
import base64
import concurrent.futures
import http.client
import json
import os
import subprocess
import urllib.parse

import processes
import serving
from machine import memory_kib
from programs import Failure

LOGIN = "Basic " + base64.b64encode(b"guest:guest").decode()
CONNECTIONS = 8  # that declare queues at the same time
COLLECT = "[erlang:garbage_collect(P) || P <- erlang:processes()], " \
          "{erlang:memory(total), erlang:memory(binary), erlang:system_info(process_count)}."
TOTALS = {"connections": "rabbit_networking:connections()", "channels": "rabbit_channel:list()",
          "queues": "rabbit_amqqueue:list()"}


class Node:
    """One node that runs, a rabbit_node.RabbitNode."""

    def __init__(self, rabbit):
        self.rabbit = rabbit
        self.url = rabbit.amqp_url
        self.pid = next(pid for pid in processes.marked(rabbit.directory)
                        if (processes.process_name(pid) or "").startswith("beam"))

    def cpu_s(self):
        """CPU time so far."""
        return serving.cpu_seconds(self.pid)

    def control(self, *arguments):
        """What rabbitmqctl prints."""
        command, environment = self.rabbit.control(*arguments)
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise Failure(f"rabbitmqctl {' '.join(arguments)}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def size(self):
        """What it takes, after its garbage was collected. Binaries are counted by themselves: most
        are buffers of connections, which are asked for, and touched as far as they are used."""
        text = self.control("eval", COLLECT).strip().strip("{}")
        total, binaries, n_processes = (int(part) for part in text.split(","))
        return {"kib": (total - binaries) / 1024, "binary_kib": binaries / 1024,
                "processes": n_processes,
                "resident_kib": memory_kib(self.pid, "RssAnon"),
                "fds": len(os.listdir(f"/proc/{self.pid}/fd"))}

    def totals(self):
        """How many connections, channels and queues there are."""
        lengths = ", ".join(f"length({what})" for what in TOTALS.values())
        text = self.control("eval", f"{{{lengths}}}.").strip().strip("{}")
        return dict(zip(TOTALS, (int(part) for part in text.split(","))))

    def _each_queue(self, method, names, body=None):
        """The same request for many queues, a few at a time."""
        def some(own):
            conn = http.client.HTTPConnection("127.0.0.1", self.rabbit.ports.management,
                                              timeout=60)
            for name in own:
                conn.request(method, f"/api/queues/%2F/{urllib.parse.quote(name)}",
                             body=json.dumps(body) if body else None,
                             headers={"Authorization": LOGIN, "Content-Type": "application/json"})
                response = conn.getresponse()
                text = response.read().decode(errors="replace")
                if response.status >= 300:
                    raise Failure(f"{method} queue {name}: {response.status} {text}")
            conn.close()

        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(some, [names[i::CONNECTIONS] for i in range(CONNECTIONS)]))

    def declare(self, names, kind):
        """Declare durable queues of a type."""
        self._each_queue("PUT", names, {"durable": True, "arguments": {"x-queue-type": kind}})

    def delete(self, names):
        """Delete queues."""
        self._each_queue("DELETE", names)
