# SPDX-License-Identifier: MIT
"""One running program of ours: its output line by line, its health, its end."""
import collections
import http.client
import re
import signal
import subprocess
import threading
import time

import processes

LINES_KEPT = 20000


class ServiceError(Exception):
    """A program did not do what it must; the text is for a person."""


def http_request(port, method, path, body=None, headers=None, timeout_s=10):
    """One request to a program on this machine: (status, body as text). OSError when it fails."""
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        conn.request(method, path, body=body, headers=headers or {})
        response = conn.getresponse()
        return response.status, response.read().decode("utf-8", errors="replace")
    except http.client.HTTPException as error:
        raise OSError(f"{method} {path} on port {port}: {error!r}") from error
    finally:
        conn.close()


class Service:
    """A program with its output read by a thread of ours, into a file and to whom it concerns."""

    def __init__(self, name, command, port, *, cwd, env, log_path, on_line=None):
        self.name = name
        self.command = command
        self.port = port
        self.lines = collections.deque(maxlen=LINES_KEPT)
        self._cwd = cwd
        self._env = env
        self._log_path = log_path
        self._on_line = on_line
        self._changed = threading.Condition()
        self._process = None
        self._reader = None
        self._ended = False

    @property
    def pid(self):
        """The process' number, also after its end."""
        return self._process.pid

    @property
    def exit_code(self):
        """None while it runs; negative is the number of the signal that ended it."""
        return self._process.poll() if self._process else None

    def start(self):
        """Run it. It is ended by the kernel when we are killed."""
        self._ended = False
        self._process = subprocess.Popen(
            processes.DIE_WITH_PARENT + self.command, cwd=self._cwd, env=self._env,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True, args=(self._process,))
        self._reader.start()
        return self

    def _read(self, process):
        with open(self._log_path, "ab") as log:
            for raw in process.stdout:
                log.write(raw)
                log.flush()
                line = raw.decode("utf-8", errors="replace").rstrip("\n")
                with self._changed:
                    self.lines.append(line)
                    self._changed.notify_all()
                if self._on_line:
                    self._on_line(self, line)
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def matching(self, pattern):
        """The lines so far in which the regular expression is found."""
        with self._changed:
            return [line for line in self.lines if re.search(pattern, line)]

    def output(self):
        """All it printed, for an error message."""
        with self._changed:
            return "\n".join(self.lines)

    def wait_lines(self, pattern, count=1, timeout_s=10.0):
        """Wait until `count` lines match; returns them. ServiceError when the time is over."""
        def found():
            return [line for line in self.lines if re.search(pattern, line)]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= count or self._ended, timeout_s)
            lines = found()
        if len(lines) < count:
            raise ServiceError(f"{self.name}: {len(lines)} of {count} lines with {pattern!r} after "
                               f"{timeout_s:g} s; it printed:\n{self.output()}")
        return lines

    def wait_healthy(self, timeout_s=20.0):
        """Wait until GET /health answers 200."""
        deadline = time.monotonic() + timeout_s
        answer = "nothing listens yet"
        while True:
            if self.exit_code is not None:
                self._reader.join(5)
                raise ServiceError(f"{self.name} ended with status {self.exit_code}:\n"
                                   f"{self.tail()}")
            try:
                status, body = http_request(self.port, "GET", "/health")
                if status == 200:
                    return self
                answer = f"{status} {body.strip()}"
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} is not healthy after {timeout_s:g} s: {answer}\n"
                                   f"{self.tail()}")
            time.sleep(0.01)

    def tail(self):
        """The last lines it printed, indented, for a person."""
        lines = self.output().splitlines()[-15:] or ["(it printed nothing)"]
        return "\n".join(f"    {line}" for line in lines)

    def ask_to_stop(self):
        """Send SIGTERM, if it runs."""
        if self.exit_code is None and self._process:
            self._process.send_signal(signal.SIGTERM)

    def kill(self):
        """End it at once, as a crash would."""
        if self._process:
            self._process.kill()
            self.wait_end(5)

    def wait_end(self, timeout_s=15.0):
        """Wait for its end and for its last line; returns the exit code.

        What has not ended after the time is killed, which shows in the code.
        """
        if not self._process:
            return None
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._reader.join(5)
        return code

    def stop(self, timeout_s=15.0):
        """Ask to stop, wait, return the exit code."""
        self.ask_to_stop()
        return self.wait_end(timeout_s)
