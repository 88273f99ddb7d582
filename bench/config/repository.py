# SPDX-License-Identifier: MIT
"""The configuration repository of an estate: 500 applications with 4 profiles, 1,000 commits.

Every application has a plain file and one for each profile; `application` has the same, which all
share. The first commit has them all, each later one changes one application's file.
"""
import os
import subprocess

PROFILES = ("dev", "test", "stage", "prod")
BRANCH = "main"
# The keys that change while it is measured: of all applications, of one.
SHARED_KEY, APP_KEY = "bench.stamp", "revision"
WHO = "Bench <bench@localhost>"


def git(directory, *arguments, **options):
    """Run git there; its output."""
    return subprocess.run(
        ["git", "-C", directory, "-c", "safe.directory=*", "-c", "user.name=Bench",
         "-c", "user.email=bench@localhost", "-c", "commit.gpgsign=false", *arguments],
        check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, **options).stdout


def app_name(number):
    """Without a hyphen, which would part it from a profile."""
    return f"app{number:03}"


def paths(n_apps):
    """All environments, as paths of URLs."""
    return [f"/{app_name(i)}/{profile}" for i in range(n_apps) for profile in PROFILES]


def shared_file(stamp):
    """application.yml, with the value that is waited for."""
    return f"""# what all applications share
{SHARED_KEY}: '{stamp}'
logging:
  level: {{root: info, http: warn}}
  format: json
amqp:
  url: amqp://broker.internal:5672/
  prefetch: 64
  retry: {{attempts: 5, first: 100ms, factor: 2}}
tracing: {{enabled: true, sample: 0.01}}
"""


def shared_profile_file(profile):
    """application-PROFILE.yml."""
    return f"""database:
  url: postgresql://db.{profile}.internal:5432/
  pool: {{min: 2, max: 20, timeout: 3s}}
features: [search, export, {profile}]
"""


def app_file(name, revision):
    """The application's own file, as of a commit."""
    return f"""# {name}
server_port: 8080
server_name: {name}
{APP_KEY}: {revision}
{name}:
  greeting: 'Hello from {name}'
  queues:
    in: {name}.in
    out: {name}.out
  limits: {{requests: 500, bytes: 1048576, wait: 2s}}
  peers:
    - http://peer-a.internal:8080/
    - http://peer-b.internal:8080/
"""


def app_profile_file(name, profile):
    """The application's file for a profile."""
    return f"""server_address: 0.0.0.0
{name}:
  limits: {{requests: 2000}}
  greeting: 'Hello from {name} in {profile}'
  endpoint: https://{name}.{profile}.internal/
"""


def _files(n_apps):
    """[(name, content)] of the first commit."""
    found = [("application.yml", shared_file("0"))]
    found += [(f"application-{p}.yml", shared_profile_file(p)) for p in PROFILES]
    for name in map(app_name, range(n_apps)):
        found.append((f"{name}.yml", app_file(name, 0)))
        found += [(f"{name}-{p}.yml", app_profile_file(name, p)) for p in PROFILES]
    return found


def _commit(number, files):
    """A commit in the form of git fast-import."""
    message = f"Change {number}\n".encode()
    yield f"commit refs/heads/{BRANCH}\ncommitter {WHO} {1700000000 + number * 60} +0000\n".encode()
    yield f"data {len(message)}\n".encode() + message
    for name, text in files:
        content = text.encode()
        yield f"M 100644 inline {name}\ndata {len(content)}\n".encode() + content + b"\n"
    yield b"\n"


def _history(n_apps, n_commits):
    yield from _commit(0, _files(n_apps))
    for number in range(1, n_commits):
        name = app_name(number % n_apps)
        yield from _commit(number, [(f"{name}.yml", app_file(name, number))])


def make(directory, n_apps, n_commits):
    """A bare repository, packed as git hosts do it."""
    os.makedirs(directory)
    git(directory, "init", "-q", "--bare", "-b", BRANCH)
    git(directory, "config", "http.receivepack", "true")
    subprocess.run(["git", "-C", directory, "-c", "safe.directory=*", "fast-import", "--quiet"],
                   input=b"".join(_history(n_apps, n_commits)), check=True)
    git(directory, "repack", "-adq")


class Writer:
    """Somebody with a clone, who commits and pushes."""

    def __init__(self, directory, remote):
        self._directory = directory
        self._n = 0
        git(os.path.dirname(directory), "clone", "-q", remote, directory)

    def commit_shared(self):
        """Change what all applications share; it is not pushed yet. The new value."""
        self._n += 1
        stamp = f"{os.path.basename(self._directory)}-{self._n}"
        self._commit("application.yml", shared_file(stamp))
        return stamp

    def commit_app(self):
        """Change a file of the first application; it is not pushed yet. The new value."""
        self._n += 1
        revision = 1_000_000 + self._n
        self._commit(f"{app_name(0)}.yml", app_file(app_name(0), revision))
        return revision

    def _commit(self, name, content):
        with open(os.path.join(self._directory, name), "w", encoding="ascii") as out:
            out.write(content)
        git(self._directory, "commit", "-qam", f"Change {name}")

    def push(self):
        """Push what is committed."""
        git(self._directory, "push", "-q", "origin", BRANCH)
