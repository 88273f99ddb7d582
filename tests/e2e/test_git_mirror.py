# SPDX-License-Identifier: MIT
"""Remote git repositories, as services/configuration/repo mirrors them: over HTTP, HTTPS and ssh, with
servers that refuse, hang, send elsewhere and lie. A small program, git_probe, calls the code."""
import ctypes
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from git_servers import HttpServer, Origin, SshServer, git, make_certificate, make_key

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROBE = pathlib.Path(os.environ.get("GODWIT_BIN", ROOT / "build" / "release" / "bin")).resolve().parent / (
    "tests/bin/git_probe")


class Probe:
    """One configserver's view of one repository; see tests/support/git_probe.c."""

    def __init__(self, uri, open_it=True, preexec_fn=None, **settings):
        assert PROBE.exists(), f"{PROBE} is missing: build it"
        self.process = subprocess.Popen([str(PROBE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        preexec_fn=preexec_fn)
        for name, value in {"uri": uri, **settings}.items():
            self.send("set", name.replace("_", "-"), str(value).replace("\n", "\\n"))
        if open_it:
            assert self.ask("open") == "ok"

    def send(self, *words):
        self.process.stdin.write(" ".join(words) + "\n")
        self.process.stdin.flush()

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, *words):
        self.send(*words)
        return self.line()

    def sync(self):
        self.send("begin")
        return self.ask("end")

    def refs(self):
        self.send("refs")
        found = {}
        while (line := self.line()) != ".":
            kind, name, commit = line.split()
            found[f"{kind} {name}"] = commit
        return found

    def read(self, label, path):
        return self.ask("read", label, path)

    def end(self):
        """Close it in order; all it made is gone afterwards unless it has a basedir."""
        if self.process.poll() is None:
            assert self.ask("close") == "ok"
            self.process.stdin.close()
            assert self.process.wait(20) == 0
        self.process.stdout.close()

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def origin(tmp_path):
    (tmp_path / "served").mkdir()
    made = Origin(tmp_path / "served")
    made.first = made.commit({"a.yml": "a: 1\n", "dir/b.yml": "b: 1\n"})
    return made


@pytest.fixture
def served(origin):
    return origin.bare.parent


@pytest.fixture
def closing():
    """Things with close() or end(), closed in the end, the last first."""
    things = []
    yield lambda thing: (things.append(thing), thing)[1]
    for thing in reversed(things):
        thing.close() if hasattr(thing, "close") else thing.end()


@pytest.fixture(autouse=True)
def private_tmp(tmp_path, monkeypatch):
    """Mirrors without a basedir come here; nothing of them is left."""
    directory = tmp_path / "tmp"
    directory.mkdir()
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    yield directory
    assert list(directory.iterdir()) == []


def processes_of(probe):
    """The processes that a probe has started, directly or not."""
    children = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            children.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, left = [], [probe.process.pid]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


def wait_until(condition, what):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if condition():
            return
        time.sleep(0.005)
    raise AssertionError(what)


# ---- what is mirrored ------------------------------------------------------------------------

def test_branches_tags_and_files(origin, served, closing):
    git(origin.work, "tag", "-a", "-m", "one", "v1")
    git(origin.work, "push", "-q", "origin", "v1", "main:refs/pull/1/head")
    feature = origin.commit({"a.yml": "a: x\n"}, "feature/x")
    server = closing(HttpServer(served))
    probe = closing(Probe(server.url()))
    assert probe.sync() == "ok 3"
    assert probe.refs() == {"branch main": origin.first, "branch feature/x": feature, "tag v1": origin.first}
    assert probe.read("main", "a.yml") == "ok a: 1"
    assert probe.read("main", "dir/b.yml") == "ok b: 1"
    assert probe.read("feature/x", "a.yml") == "ok a: x"
    assert probe.read(origin.first[:7], "a.yml") == "ok a: 1"
    assert probe.read("--upload-pack=x", "a.yml").startswith("GW_E_NOT_FOUND no branch, tag or commit")

    # What changes, changes here: also what is taken back.
    second = origin.commit({"a.yml": "a: 2\n"})
    git(origin.work, "push", "-q", "origin", ":feature/x")
    git(origin.work, "tag", "-f", "v1", second)
    git(origin.work, "push", "-q", "-f", "origin", "v1")
    assert probe.sync() == "ok 2"
    assert probe.refs() == {"branch main": second, "tag v1": second}
    git(origin.work, "reset", "-q", "--hard", origin.first)
    forced = origin.commit({"a.yml": "a: 3\n"}, force=True)
    assert probe.sync() == "ok 2"
    assert probe.refs() == {"branch main": forced, "tag v1": second}
    assert probe.read("main", "a.yml") == "ok a: 3"
    git(origin.work, "push", "-q", "origin", ":v1")
    # A branch may become a directory of branches.
    git(origin.work, "checkout", "-q", "--orphan", "other")
    git(origin.work, "branch", "-q", "-D", "main")
    git(origin.bare, "update-ref", "-d", "refs/heads/main")
    deep = origin.commit({"a.yml": "a: deep\n"}, "main/deep")
    assert probe.sync() == "ok 1"
    assert probe.refs() == {"branch main/deep": deep}


def test_an_empty_repository_is_one(served, tmp_path, closing):
    Origin(served, "empty.git")
    server = closing(HttpServer(served))
    probe = closing(Probe(server.url("empty.git")))
    assert probe.sync() == "ok 0"
    assert probe.refs() == {}


# ---- HTTP ------------------------------------------------------------------------------------

def test_a_user_and_a_password(origin, served, closing):
    server = closing(HttpServer(served, {"joe": "s3cret: with 'all' &c"}))
    good = closing(Probe(server.url(), username="joe", password="s3cret: with 'all' &c"))
    assert good.sync() == "ok 1"
    in_uri = closing(Probe(server.url(user="joe:s3cret%3A%20with%20'all'%20&c@")))
    assert in_uri.sync() == "ok 1"
    assert in_uri.read("main", "a.yml") == "ok a: 1"
    wrong = closing(Probe(server.url(), username="joe", password="not-it"))
    answer = wrong.sync()
    assert re.match(r"GW_E_DENIED http://127\.0\.0\.1:\d+/config\.git: access refused", answer), answer
    assert "not-it" not in answer
    nobody = closing(Probe(server.url()))
    assert re.match(r"GW_E_DENIED .*: it wants a username and a password", nobody.sync())
    # Once it is corrected, nothing else has to be done.
    server.users["joe"] = "not-it"
    assert wrong.sync() == "ok 1"


def test_a_token_needs_no_user(origin, served, closing):
    server = closing(HttpServer(served, {"git": "token"}))
    probe = closing(Probe(server.url(), password="token"))
    assert probe.sync() == "ok 1"


@pytest.mark.parametrize("status, wanted", [
    (404, "GW_E_NOT_FOUND {uri}: there is no such repository"),
    (403, "GW_E_DENIED {uri}: access refused"),
    (500, "GW_E_UNAVAILABLE {uri}: the host cannot answer"),
    (503, "GW_E_UNAVAILABLE {uri}: the host cannot answer"),
])
def test_what_servers_answer(origin, served, closing, status, wanted):
    server = closing(HttpServer(served))
    server.status = status
    probe = closing(Probe(server.url()))
    answer = probe.sync()
    assert answer.startswith(wanted.format(uri=server.url())), answer
    server.status = None
    assert probe.sync() == "ok 1"
    server.status = status
    assert probe.sync().startswith(wanted.format(uri=server.url()))
    assert probe.read("main", "a.yml") == "ok a: 1"


def test_a_redirect_is_not_followed(origin, served, closing):
    target = closing(HttpServer(served))
    server = closing(HttpServer(served, {"joe": "s3cret"}))
    server.moved_to = target.url("")[:-1]
    probe = closing(Probe(server.url(), username="joe", password="s3cret"))
    answer = probe.sync()
    assert re.match(r"GW_E_UNAVAILABLE .*: it says that it is elsewhere, which is not followed", answer), answer
    assert target.n_requests == 0


def test_nobody_there(origin, served, closing):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        probe = closing(Probe(f"http://127.0.0.1:{taken.getsockname()[1]}/x.git"))
        assert re.match(r"GW_E_UNAVAILABLE .*: the host cannot be reached", probe.sync())


def test_the_first_process_of_a_container_keeps_no_zombies(served, closing):
    """It inherits what git had started when git is killed: here by a prctl instead of pid 1."""
    server = closing(HttpServer(served))
    libc, set_child_subreaper = ctypes.CDLL(None), 36
    probe = closing(Probe(server.url(), timeout=1,
                          preexec_fn=lambda: libc.prctl(set_child_subreaper, 1, 0, 0, 0)))
    server.hangs = True
    assert probe.sync().startswith("GW_E_TIMEOUT")
    children = pathlib.Path(f"/proc/{probe.process.pid}/task").glob("*/children")
    assert "".join(path.read_text() for path in children) == ""


def test_a_server_that_hangs_ends_at_the_timeout(origin, served, closing):
    server = closing(HttpServer(served))
    probe = closing(Probe(server.url(), timeout=1))
    assert probe.sync() == "ok 1"
    server.hangs = True
    answer = probe.sync()
    assert re.match(r"GW_E_TIMEOUT http://127.*: no end within 1 s", answer), answer
    assert processes_of(probe) == []
    assert probe.read("main", "a.yml") == "ok a: 1"
    fresh = closing(Probe(server.url(), timeout=1))
    assert re.match(r"GW_E_TIMEOUT .*: no end within 1 s after the last sign of life", fresh.sync())
    server.hangs = False
    second = origin.commit({"a.yml": "a: 2\n"})
    assert probe.sync() == "ok 1"
    assert probe.refs() == {"branch main": second}


def test_stop_ends_a_fetch(origin, served, closing):
    server = closing(HttpServer(served))
    server.hangs = True
    probe = closing(Probe(server.url(), timeout=600))
    probe.send("begin")
    server.wait_for_requests(1)
    probe.send("stop")
    assert probe.ask("end").startswith("GW_E_CLOSED")
    assert processes_of(probe) == []
    assert probe.sync().startswith("GW_E_CLOSED")


def test_git_ends_with_the_server(origin, served, closing, private_tmp):
    server = closing(HttpServer(served))
    server.hangs = True
    probe = Probe(server.url(), timeout=600)
    probe.send("begin")
    server.wait_for_requests(1)
    children = processes_of(probe)
    assert children
    probe.kill()
    git_pid = min(children)
    wait_until(lambda: not os.path.exists(f"/proc/{git_pid}"), "git lives on")
    for pid in children:  # what git had started ends when it sees that
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
    shutil.rmtree(next(private_tmp.iterdir()))
    probe.process.stdin.close()
    probe.process.stdout.close()


def test_secrets_are_nowhere_to_be_seen(origin, served, closing, private_tmp):
    server = closing(HttpServer(served, {"joe": "s3cret-w0rd"}))
    probe = closing(Probe(server.url(), username="joe", password="s3cret-w0rd", timeout=600))
    assert probe.sync() == "ok 1"
    seen = list(server.seen)
    assert seen
    before = server.n_requests
    server.hangs = True
    probe.send("begin")
    server.wait_for_requests(before + 1)
    children = processes_of(probe)
    assert len(children) >= 2
    for pid in children + [probe.process.pid]:
        for what in ("cmdline", "environ"):
            assert b"s3cret" not in pathlib.Path(f"/proc/{pid}/{what}").read_bytes(), (pid, what)
    for path in private_tmp.rglob("*"):
        if path.is_file():
            assert b"s3cret" not in path.read_bytes(), path
    # What else it must not have, or exceed.
    limits = pathlib.Path(f"/proc/{min(children)}/limits").read_text()
    assert re.search(r"Max file size +1073741824 +1073741824", limits), limits
    assert re.search(r"Max core file size +0 +0", limits), limits
    environment = pathlib.Path(f"/proc/{min(children)}/environ").read_bytes().decode().split("\0")
    assert "GIT_ALLOW_PROTOCOL=http" in environment
    assert f"HOME={os.environ.get('HOME')}" not in environment
    probe.send("stop")
    probe.ask("end")


# ---- HTTPS -----------------------------------------------------------------------------------

def test_certificates(origin, served, closing, tmp_path):
    certificate = make_certificate(tmp_path)
    server = closing(HttpServer(served, {"joe": "s3cret"}, certificate))
    user = {"username": "joe", "password": "s3cret"}
    unknown = closing(Probe(server.url(), **user))
    answer = unknown.sync()
    assert re.match(r"GW_E_DENIED https://127.*: the host's certificate is not accepted", answer), answer
    known = closing(Probe(server.url(), ca_file=certificate[0], **user))
    assert known.sync() == "ok 1"
    skipped = closing(Probe(server.url(), skip_tls="yes", **user))
    assert skipped.sync() == "ok 1"


# ---- ssh -------------------------------------------------------------------------------------

@pytest.fixture
def ssh_dir(tmp_path):
    directory = tmp_path / "ssh"
    directory.mkdir(mode=0o700)
    return directory


def test_ssh(origin, closing, ssh_dir, served):
    key = make_key(ssh_dir / "client")
    server = closing(SshServer(ssh_dir, key))
    url = server.url(origin.bare)
    hosts = server.known_hosts()
    good = closing(Probe(url, private_key_file=key, known_hosts_file=hosts))
    assert good.sync() == "ok 1"
    assert good.read("main", "a.yml") == "ok a: 1"

    # The key as a value of a configuration file, which has lost its last newline.
    text = closing(Probe(url, private_key=key.read_text().strip(), known_hosts_file=hosts))
    assert text.sync() == "ok 1"
    # Kubernetes mounts secrets for everybody to read, which ssh alone would not accept.
    key.chmod(0o644)
    mounted = closing(Probe(url, private_key_file=key, known_hosts_file=hosts))
    assert mounted.sync() == "ok 1"

    other = make_key(ssh_dir / "other")
    denied = closing(Probe(url, private_key_file=other, known_hosts_file=hosts))
    answer = denied.sync()
    assert re.match(r"GW_E_DENIED ssh://.*: access refused \(see username, private-key", answer), answer

    gone = closing(Probe(url, private_key_file=ssh_dir / "none", known_hosts_file=hosts))
    assert re.match(r"GW_E_DENIED ssh://.*private-key-file.*none", gone.sync())

    wrong = closing(Probe(url, private_key_file=key, known_hosts_file=server.known_hosts(other)))
    answer = wrong.sync()
    assert re.match(r"GW_E_DENIED ssh://.*: the host's key is not the one that is known", answer), answer
    empty = ssh_dir / "nobody"
    empty.write_text("# nobody\n")
    unknown = closing(Probe(url, private_key_file=key, known_hosts_file=empty))
    assert re.match(r"GW_E_DENIED ssh://.*: the host's key is not the one that is known", unknown.sync())
    anybody = closing(Probe(url, private_key_file=key, any_host_key="yes"))
    assert anybody.sync() == "ok 1"

    missing = closing(Probe(server.url("/nowhere.git"), private_key_file=key, known_hosts_file=hosts))
    answer = missing.sync()
    assert re.match(r"GW_E_NOT_FOUND ssh://.*: there is no such repository", answer), answer


def test_a_key_with_a_passphrase(origin, closing, ssh_dir, private_tmp):
    key = make_key(ssh_dir / "client", "s3cret phrase")
    server = closing(SshServer(ssh_dir, key))
    settings = {"private_key": key.read_text(), "known_hosts_file": server.known_hosts()}
    good = closing(Probe(server.url(origin.bare), passphrase="s3cret phrase", **settings))
    assert good.sync() == "ok 1"
    wrong = closing(Probe(server.url(origin.bare), passphrase="not it", **settings))
    assert wrong.sync().startswith("GW_E_DENIED ssh://")
    without = closing(Probe(server.url(origin.bare), **settings))
    assert without.sync().startswith("GW_E_DENIED ssh://")
    for path in private_tmp.rglob("*"):
        assert not path.is_file() or b"PRIVATE KEY" not in path.read_bytes()


def test_ssh_that_hangs_ends_at_the_timeout(origin, closing, ssh_dir):
    key = make_key(ssh_dir / "client")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        probe = closing(Probe(f"ssh://git@127.0.0.1:{silent.getsockname()[1]}/x.git", private_key_file=key,
                              any_host_key="yes", timeout=1))
        assert re.match(r"GW_E_(TIMEOUT|UNAVAILABLE) ssh://", probe.sync())
        assert processes_of(probe) == []


# ---- the mirror ------------------------------------------------------------------------------

def test_a_basedir_is_kept(origin, served, closing, tmp_path):
    server = HttpServer(served)
    base = tmp_path / "mirrors"
    probe = closing(Probe(server.url(), basedir=base, password="s3cret"))
    assert probe.ask("recall").startswith("GW_E_NOT_FOUND")
    assert probe.sync() == "ok 1"
    probe.end()
    (mirror,) = base.iterdir()
    assert mirror.stat().st_mode & 0o777 == 0o700
    assert re.fullmatch("[0-9a-f]{40}", mirror.name)

    # The next one has something to serve though the other side is away, and fetches only news.
    server.close()
    second = closing(Probe(server.url(), basedir=base))
    assert second.ask("recall") == "ok 1"
    assert second.refs() == {"branch main": origin.first}
    assert second.read("main", "a.yml") == "ok a: 1"
    assert second.sync().startswith("GW_E_UNAVAILABLE")
    assert second.read("main", "a.yml") == "ok a: 1"


def test_a_repository_that_is_not_there_leaves_nothing_behind(served, closing, tmp_path):
    server = closing(HttpServer(served))
    base = tmp_path / "mirrors"
    probe = closing(Probe(server.url("none.git"), basedir=base))
    assert probe.sync().startswith("GW_E_NOT_FOUND")
    probe.end()
    assert list(base.iterdir()) == []


def test_two_servers_do_not_share_a_mirror(origin, served, closing, tmp_path):
    server = closing(HttpServer(served))
    base = tmp_path / "mirrors"
    first = closing(Probe(server.url(), basedir=base))
    assert first.sync() == "ok 1"
    second = closing(Probe(server.url(), basedir=base))
    answer = second.sync()
    assert re.match(r"GW_E_UNAVAILABLE .*: another process uses the mirror in .*mirrors", answer), answer
    other = closing(Probe(server.url(), basedir=base, name="other"))
    assert other.sync() == "ok 1"
    first.end()
    assert second.sync() == "ok 1"


def test_a_mirror_that_others_can_reach_is_refused(origin, served, closing, tmp_path):
    server = closing(HttpServer(served))
    base = tmp_path / "mirrors"
    probe = Probe(server.url(), basedir=base)
    assert probe.sync() == "ok 1"
    probe.end()
    (mirror,) = base.iterdir()
    mirror.chmod(0o755)
    again = closing(Probe(server.url(), basedir=base))
    assert re.match(r"GW_E_DENIED .* is not this user's alone", again.sync())
    mirror.chmod(0o700)
    mirror.rename(tmp_path / "elsewhere")
    mirror.symlink_to(tmp_path / "elsewhere")
    assert again.sync().startswith("GW_E_")
    mirror.unlink()
    base.chmod(0o777)
    assert re.match(r"GW_E_DENIED .*: everybody may write into basedir", again.sync())
    base.chmod(0o1777)
    assert again.sync() == "ok 1"


def test_a_mirror_that_was_removed_is_made_again(origin, served, closing, private_tmp):
    server = closing(HttpServer(served))
    probe = closing(Probe(server.url()))
    assert probe.sync() == "ok 1"
    shutil.rmtree(next(private_tmp.iterdir()))
    assert probe.sync() == "ok 1"
    assert probe.read("main", "a.yml") == "ok a: 1"


def objects_of(mirror):
    return [path for path in mirror.rglob("objects/**/*") if path.is_file()]


def test_a_damaged_mirror_is_made_anew(origin, served, closing, tmp_path):
    server = closing(HttpServer(served))
    base = tmp_path / "mirrors"
    probe = closing(Probe(server.url(), basedir=base))
    assert probe.sync() == "ok 1"
    probe.end()
    (mirror,) = base.iterdir()
    for damage in ("objects", "refs", "bytes", "packed-refs"):
        if damage == "objects":
            for path in objects_of(mirror / "repository"):
                path.unlink()
        elif damage == "refs":
            (mirror / "repository/refs/heads/main").write_text("garbage\n")
        elif damage == "bytes":
            for path in objects_of(mirror / "repository"):
                path.chmod(0o600)
                path.write_bytes(b"x" * path.stat().st_size)
        else:
            (mirror / "repository/packed-refs").write_text("garbage\n")
        again = Probe(server.url(), basedir=base)
        assert again.sync() == "ok 1", damage
        assert again.read("main", "a.yml") == "ok a: 1", damage
        again.end()
    assert (mirror / "damaged").is_dir()


def test_damage_that_shows_while_it_is_served_is_mended(origin, served, closing, tmp_path):
    server = closing(HttpServer(served))
    base = tmp_path / "mirrors"
    probe = closing(Probe(server.url(), basedir=base))
    assert probe.sync() == "ok 1"
    blob = git(origin.work, "rev-parse", "HEAD:a.yml")
    tree = git(origin.work, "rev-parse", "HEAD:dir")
    probe.end()
    (mirror,) = base.iterdir()
    (pack,) = mirror.rglob("*.pack")
    pack.rename(tmp_path / "pack")
    pack.with_suffix(".idx").unlink()
    with open(tmp_path / "pack", "rb") as objects:
        subprocess.run(["git", "-C", mirror / "repository", "unpack-objects", "-q"], stdin=objects, check=True)
    probe = closing(Probe(server.url(), basedir=base))
    assert probe.sync() == "ok 1"
    for name in (blob, tree):
        (mirror / "repository/objects" / name[:2] / name[2:]).unlink()
    assert probe.read("main", "a.yml").startswith("GW_E_IO")
    assert probe.sync() == "ok 1"
    assert probe.read("main", "a.yml") == "ok a: 1"


def test_killed_in_the_middle_it_is_good_next_time(origin, served, closing, tmp_path):
    server = closing(HttpServer(served))
    base = tmp_path / "mirrors"
    probe = Probe(server.url(), basedir=base, timeout=600)
    assert probe.sync() == "ok 1"
    before = server.n_requests
    server.hangs = True
    probe.send("begin")
    server.wait_for_requests(before + 1)
    probe.kill()
    (mirror,) = base.iterdir()
    # What git leaves behind when it is killed at its worst moments.
    for name in ("packed-refs.lock", "refs/heads/main.lock", "HEAD.lock", "objects/pack/tmp_pack_x", "gc.pid"):
        (mirror / "repository" / name).write_text("")
    server.hangs = False
    second = origin.commit({"a.yml": "a: 2\n"})
    again = closing(Probe(server.url(), basedir=base))
    assert again.sync() == "ok 1"
    assert again.refs() == {"branch main": second}
    assert list((mirror / "repository").rglob("*.lock")) == []
    assert list((mirror / "repository").rglob("tmp_*")) == []


def test_a_mirror_does_not_grow_for_ever(origin, served, closing, tmp_path):
    server = closing(HttpServer(served))
    base = tmp_path / "mirrors"
    probe = closing(Probe(server.url(), basedir=base))
    assert probe.sync() == "ok 1"
    (mirror,) = base.iterdir()
    packs = mirror / "repository/objects/pack"
    for i in range(17):
        origin.commit({"a.yml": f"a: {i}\n"})
        assert probe.sync() == "ok 1"
        git(mirror / "repository", "-c", "core.bare=true", "repack", "-q")
    assert len(list(packs.glob("*.pack"))) >= 16
    assert probe.sync() == "ok 1"
    assert len(list(packs.glob("*.pack"))) == 1
    assert probe.read("main", "a.yml") == "ok a: 16"


def test_what_cannot_be_tidied_is_not_tidied_again_and_again(origin, served, closing, tmp_path):
    """A remote that rewrites its history leaves objects behind, of which the newer ones are kept."""
    server = closing(HttpServer(served))
    base = tmp_path / "mirrors"
    probe = closing(Probe(server.url(), basedir=base))
    assert probe.sync() == "ok 1"
    (mirror,) = base.iterdir()
    objects = mirror / "repository/objects"
    names = [tmp_path / f"left{i}" for i in range(6000)]
    for i, name in enumerate(names):
        name.write_text(str(i))
    subprocess.run(["git", "-C", mirror / "repository", "hash-object", "-w", "--stdin-paths"], check=True,
                   input="\n".join(map(str, names)), text=True, stdout=subprocess.DEVNULL)
    loose = [path for path in objects.glob("??/*")]
    for path in loose[::50]:
        os.utime(path, (time.time() - 3 * 86400,) * 2)
    assert probe.sync() == "ok 1"
    assert 0 < len([path for path in objects.glob("??/*")]) <= len(loose) - len(loose[::50])
    (pack,) = objects.glob("pack/*.pack")
    before = os.stat(pack)
    assert probe.sync() == "ok 1"
    after = os.stat(pack)
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_readers_are_not_disturbed_by_fetches_and_tidying(origin, served, closing, tmp_path):
    """Files of the served commit are read all the time while another is fetched."""
    server = closing(HttpServer(served))
    probe = closing(Probe(server.url()))
    assert probe.sync() == "ok 1"
    done = threading.Event()

    def push():
        for i in range(10):
            origin.commit({"a.yml": f"a: {i}\n"})
        done.set()

    pusher = threading.Thread(target=push)
    pusher.start()
    while not done.is_set():
        probe.send("begin")
        assert probe.read("main", "a.yml").startswith("ok a: ")
        assert probe.ask("end") == "ok 1"
    pusher.join()
    assert probe.sync() == "ok 1"
    assert probe.read("main", "a.yml") == "ok a: 9"


def test_objects_that_are_not_sound_are_refused(origin, served, closing):
    """A tree in which a name leads out of it; git itself makes none."""
    server = closing(HttpServer(served))
    probe = closing(Probe(server.url()))
    assert probe.sync() == "ok 1"
    blob = bytes.fromhex(git(origin.work, "rev-parse", "HEAD:a.yml"))
    (origin.work / "tree").write_bytes(b"100644 ..\0" + blob)
    tree = git(origin.bare, "hash-object", "-t", "tree", "-w", "--literally", str(origin.work / "tree"))
    commit = git(origin.bare, "commit-tree", "-m", "evil", tree)
    git(origin.bare, "update-ref", "refs/heads/evil", commit)
    answer = probe.sync()
    assert re.match(r"GW_E_UNAVAILABLE .*: what it sent is not sound, and refused: .*[dD]ot", answer), answer
    assert probe.read("main", "a.yml") == "ok a: 1"


def test_without_git_the_error_says_so(origin, served, closing, monkeypatch):
    server = closing(HttpServer(served))
    monkeypatch.setenv("PATH", "/nonexistent")
    probe = closing(Probe(server.url()))
    answer = probe.sync()
    assert re.match(r"GW_E_IO .*: remote repositories need the program git", answer), answer


def test_the_users_configuration_of_git_is_not_read(origin, served, closing, monkeypatch, tmp_path):
    """One that would send git elsewhere, and run a program."""
    server = closing(HttpServer(served))
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(f"""[url "http://127.0.0.1:1/"]\n\tinsteadOf = {server.url("")}
[core]\n\thooksPath = {home}\n[credential]\n\thelper = !touch {home}/ran\n""")
    (home / "reference-transaction").write_text(f"#!/bin/sh\ntouch {home}/ran\n")
    (home / "reference-transaction").chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(home))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", str(home))
    probe = closing(Probe(server.url()))
    assert probe.sync() == "ok 1"
    assert not (home / "ran").exists()


# ---- what is not for git ---------------------------------------------------------------------

@pytest.mark.parametrize("uri, wanted", [
    ("--upload-pack=touch /tmp/owned", "GW_E_INVALID"),
    ("-x", "GW_E_INVALID"),
    ("ext::sh -c touch% /tmp/owned", "GW_E_UNSUPPORTED"),
    ("git://127.0.0.1/x.git", "GW_E_UNSUPPORTED"),
    ("ssh://-oProxyCommand=touch/x.git", "GW_E_INVALID"),
    ("ssh://-oProxyCommand=x@127.0.0.1/x.git", "GW_E_INVALID"),
    ("-oProxyCommand=x:y", "GW_E_INVALID"),
    ("git@-oProxyCommand=x:y", "GW_E_INVALID"),
    ("git@127.0.0.1:--upload-pack=x", "GW_E_INVALID"),
    ("https://{application}/x.git", "GW_E_INVALID"),
    ("https://127.0.0.1/x.git?a=b", "GW_E_INVALID"),
    ("https://127.0.0.1/x.git#frag", "GW_E_INVALID"),
    ("https://127.0.0.1/a b.git", "GW_E_INVALID"),
    ("https://127.0.0.1:99x/a.git", "GW_E_INVALID"),
    ("https://127.0.0.1", "GW_E_INVALID"),
    ("https:///x.git", "GW_E_INVALID"),
    ("https://joe:s3cret@127 .0.0.1/x.git", "GW_E_INVALID"),
])
def test_uris_that_are_refused(uri, wanted, closing):
    probe = closing(Probe(uri, open_it=False))
    answer = probe.ask("open")
    assert answer.startswith(wanted), answer
    assert "s3cret" not in answer
