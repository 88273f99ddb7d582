# SPDX-License-Identifier: MIT
"""The configservers that are measured, their repository and its host."""
import http.client
import json
import os
import shutil
import subprocess
import sys
import time

import processes
import repository
from service import Service
from serving import LOAD_CORE, SERVER_CORE, Failure, on_core

NAME = "config.git"


class Estate:
    """A directory with the repository, and all that was started for it."""

    def __init__(self, directory, programs, n_apps, n_commits):
        self.directory = directory
        self.paths = repository.paths(n_apps)
        self.paths_file = os.path.join(directory, "paths")
        self.hosted = os.path.join(directory, "hosted")
        self.local = os.path.join(self.hosted, NAME)
        self._programs = programs
        self._running = []
        self._n = 0
        os.makedirs(self.hosted)
        with open(self.paths_file, "w", encoding="ascii") as out:
            out.write("\n".join(self.paths) + "\n")
        repository.make(self.local, n_apps, n_commits)
        port = processes.free_ports(1)[0]
        script = os.path.join(os.path.dirname(os.path.realpath(__file__)), "git_http.py")
        self.host = self.keep(Service(
            "the git host", on_core(LOAD_CORE, [sys.executable, "-B", script, str(port),
                                                self.hosted]),
            port, cwd=directory, env=dict(os.environ), log_path=directory + "/host.log").start())
        self.remote = self.url_of(NAME)
        self._wait_host()

    def _wait_host(self):
        deadline = time.monotonic() + 10
        while True:
            try:
                repository.git(self.directory, "ls-remote", self.remote, stderr=subprocess.DEVNULL)
                return
            except subprocess.CalledProcessError as error:  # nobody listens yet
                if time.monotonic() > deadline:
                    raise Failure(f"the git host does not answer:\n{self.host.output()}") from error
                time.sleep(0.02)

    def url_of(self, name):
        """A repository of the host."""
        return f"http://127.0.0.1:{self.host.port}/{name}"

    def copy(self, name):
        """Another repository like it, on the same host; its URL."""
        shutil.copytree(self.local, os.path.join(self.hosted, name))
        return self.url_of(name)

    def writer(self, name, remote):
        """Somebody who pushes to it."""
        return repository.Writer(os.path.join(self.directory, name), remote)

    def fresh_dir(self, name):
        """A directory that is new and empty."""
        path = os.path.join(self.directory, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def configserver(self, name, repo, *, basedir=None, bus=None, cores=SERVER_CORE):
        """A configserver, not started; `basedir` is where it keeps mirrors."""
        self._n += 1
        port = processes.free_ports(1)[0]
        command = [os.path.join(self._programs, "configserver"), "-repo", repo,
                   "-port", str(port), "-label", repository.BRANCH]
        env = {**os.environ, "GODWIT_SERVER_ADDRESS": "127.0.0.1",
               "TMPDIR": self.fresh_dir(f"tmp-{self._n}")}
        if basedir is not None:
            env["SPRING_CLOUD_CONFIG_SERVER_GIT_BASEDIR"] = basedir
        if bus is not None:
            env["GODWIT_AMQP"] = bus
        return self.keep(Service(name, on_core(cores, command), port, cwd=self.directory, env=env,
                                 log_path=os.path.join(self.directory, f"server-{self._n}.log")))

    def keep(self, service):
        """It is ended with the rest."""
        self._running.append(service)
        return service

    def stop(self):
        """End everything."""
        for service in reversed(self._running):
            service.kill()


def read_all(port, paths):
    """Ask for each path once over one connection; the bodies."""
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    bodies = []
    for path in paths:
        conn.request("GET", path)
        response = conn.getresponse()
        bodies.append(response.read())
        if response.status != 200:
            raise Failure(f"GET {path} is {response.status}: {bodies[-1][:500]!r}")
    conn.close()
    return bodies


def value_of(body, key):
    """The effective value of a key in an environment."""
    for source in json.loads(body)["propertySources"]:
        if key in source["source"]:
            return source["source"][key]
    return None


def has_etag(port, path):
    """Whether the server has tags, and so may be asked to wait for another."""
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    conn.request("GET", path)
    response = conn.getresponse()
    response.read()
    conn.close()
    return response.getheader("ETag") is not None


def post_webhook(port, remote, file):
    """Tell of a push that changed the file, as GitHub does."""
    body = json.dumps({
        "ref": f"refs/heads/{repository.BRANCH}", "deleted": False,
        "repository": {"clone_url": remote},
        "commits": [{"added": [], "removed": [], "modified": [file]}]})
    conn = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    conn.request("POST", "/monitor", body=body,
                 headers={"Content-Type": "application/json", "X-GitHub-Event": "push"})
    response = conn.getresponse()
    answer = response.read()
    conn.close()
    if response.status != 200:
        raise Failure(f"POST /monitor is {response.status}: {answer[:500]!r}")


def wait_value(port, path, key, value, timeout_s=30):
    """Ask until the key has the value."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = value_of(read_all(port, [path])[0], key)
        if found == value:
            return
        if time.monotonic() > deadline:
            raise Failure(f"{path} still has {key}={found}, and not {value}")
        time.sleep(0.01)
