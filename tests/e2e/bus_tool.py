# SPDX-License-Identifier: MIT
"""A test's own view of an embedded bus, which no foreign client can read: through `godwit bus`."""
import base64
import json
import os
import subprocess
import types

BUS_URL = "bus:bus"  # the programs are started in the test's directory


class BusTool:
    """Runs `godwit bus` as an operator does."""

    def __init__(self, world):
        self._world = world

    def run(self, command, *arguments, body=None):
        """What a command printed; it must succeed."""
        done = subprocess.run(
            [os.path.join(self._world.programs, "godwit"), "bus", command, BUS_URL, *arguments],
            env=self._world.environment(), cwd=self._world.directory, input=body or b"",
            capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done
        return done.stdout.decode()

    def send(self, body, queue, exchange="", headers=None, **properties):
        """Publish a message to a queue, or to a topic exchange with `queue` as the routing key."""
        options = [f"--{name.replace('_', '-')}={value}" for name, value in properties.items()]
        options += [f"--header={name}={value}" for name, value in (headers or {}).items()]
        to = [f"--exchange={exchange}", "--type=topic", f"--key={queue}"] if exchange else [queue]
        self.run("publish", *options, *to,
                 body=body if isinstance(body, bytes) else body.encode())

    def take(self, queue):
        """A message of a queue, (properties, body), in the form of pika's; None while it is empty."""
        if queue not in self.queues():
            return None
        line = self.run("consume", "--json", "-n", "1", queue)
        if not line:
            return None
        found = json.loads(line)
        body = found["body"].encode() if "body" in found else base64.b64decode(found["body_base64"])
        properties = {"headers": found.get("headers", {}), **found["properties"]}
        return types.SimpleNamespace(**properties), body

    def queues(self):
        """{name: what `godwit bus list` says of it}."""
        found = [json.loads(line) for line in self.run("list", "--json").splitlines()]
        return {entry["queue"]: entry for entry in found}
