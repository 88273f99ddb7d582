# SPDX-License-Identifier: MIT
"""Servers of git repositories for one test, all on 127.0.0.1: HTTP(S) around git http-backend, which
can also refuse, send elsewhere and hang; and an sshd of the test's own keys."""
import base64
import getpass
import http.server
import os
import socket
import ssl
import subprocess
import threading
import time

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
       "GIT_CONFIG_GLOBAL": "/dev/null", "LC_ALL": "C", "GIT_AUTHOR_NAME": "Test",
       "GIT_AUTHOR_EMAIL": "test@example.org", "GIT_COMMITTER_NAME": "Test",
       "GIT_COMMITTER_EMAIL": "test@example.org"}


def git(directory, *args):
    done = subprocess.run(["git", "-C", str(directory), *args], env=ENV, check=True, capture_output=True,
                          text=True)
    return done.stdout.strip()


class Origin:
    """A bare repository, and a working tree from which it is changed."""

    def __init__(self, directory, name="config.git"):
        self.bare = directory / name
        self.work = directory / (name + ".work")
        git(directory, "init", "-q", "--bare", "-b", "main", str(self.bare))
        git(directory, "init", "-q", "-b", "main", str(self.work))
        git(self.work, "remote", "add", "origin", str(self.bare))

    def commit(self, files, branch="main", force=False):
        """Commit these texts to the branch, and push it; its id."""
        if git(self.work, "branch", "--list", branch):
            git(self.work, "checkout", "-q", branch)
        else:
            git(self.work, "checkout", "-q", "-B", branch)
        for path, text in files.items():
            (self.work / path).parent.mkdir(parents=True, exist_ok=True)
            (self.work / path).write_text(text)
        git(self.work, "add", "-A")
        git(self.work, "commit", "-q", "--allow-empty", "-m", "a change")
        git(self.work, "push", "-q", *(["-f"] if force else []), "origin", branch)
        return git(self.work, "rev-parse", "HEAD")


class HttpServer:
    """git http-backend for the repositories in a directory. `users` are those who are let in; none:
    everybody. `moved_to` makes it send everybody elsewhere, `status` answer with that, and `hangs`
    accept and never answer. `seen` are the Authorization headers it was sent."""

    def __init__(self, root, users=None, certificate=None):
        self.root = root
        self.users = users or {}
        self.moved_to = None
        self.status = None
        self.hangs = False
        self.seen = []
        self.n_requests = 0
        self._awake = threading.Event()
        self._came = threading.Condition()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.serve(self)

            do_POST = do_GET

            def log_message(self, *args):
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.scheme = "http" if certificate is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def url(self, path="config.git", user=""):
        return f"{self.scheme}://{user}127.0.0.1:{self.port}/{path}"

    def close(self):
        self._awake.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait_for_requests(self, n):
        with self._came:
            assert self._came.wait_for(lambda: self.n_requests >= n, 20)

    def serve(self, request):
        with self._came:
            self.n_requests += 1
            self._came.notify_all()
        if self.hangs:
            self._awake.wait()
            return
        given = request.headers.get("Authorization")
        if given is not None:
            self.seen.append(given)
        if self.moved_to is not None:
            self.answer(request, 301, {"Location": self.moved_to + request.path})
        elif self.status is not None:
            self.answer(request, self.status)
        elif self.users and not self.knows(given):
            self.answer(request, 401, {"WWW-Authenticate": 'Basic realm="git"'})
        else:
            self.run_backend(request)

    def knows(self, given):
        return given in ["Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
                         for user, password in self.users.items()]

    @staticmethod
    def answer(request, status, headers=None):
        request.send_response(status)
        for name, value in (headers or {}).items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def run_backend(self, request):
        path, _, query = request.path.partition("?")
        length = int(request.headers.get("Content-Length") or 0)
        body = request.rfile.read(length)
        if request.headers.get("Transfer-Encoding") == "chunked":
            body = self.read_chunks(request.rfile)
        env = dict(ENV, GIT_PROJECT_ROOT=str(self.root), GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path,
                   QUERY_STRING=query, REQUEST_METHOD=request.command, REMOTE_ADDR="127.0.0.1",
                   CONTENT_TYPE=request.headers.get("Content-Type") or "",
                   CONTENT_LENGTH=str(len(body)),
                   HTTP_CONTENT_ENCODING=request.headers.get("Content-Encoding") or "",
                   GIT_PROTOCOL=request.headers.get("Git-Protocol") or "")
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status, headers = 200, []
        for line in head.decode().split("\r\n"):
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            elif name:
                headers.append((name, value))
        request.send_response(status)
        for name, value in headers:
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)

    @staticmethod
    def read_chunks(source):
        body = b""
        while True:
            size = int(source.readline().split(b";")[0], 16)
            body += source.read(size)
            source.readline()
            if size == 0:
                return body


def make_certificate(directory):
    """The files of a certificate for 127.0.0.1 and of its key; it is its own authority."""
    certificate, key = str(directory / "tls.pem"), str(directory / "tls.key")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                    "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


def make_key(path, passphrase=""):
    """An ssh key; the path of its private part."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "test", "-f", str(path)],
                   check=True, capture_output=True)
    return path


class SshServer:
    """An sshd that lets in the current user with one key, for git alone."""

    def __init__(self, directory, client_key):
        self.directory = directory
        self.host_key = make_key(directory / "host_key")
        self.user = getpass.getuser()
        authorized = directory / "authorized_keys"
        authorized.write_text(client_key.with_suffix(".pub").read_text())
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        config = directory / "sshd_config"
        config.write_text("\n".join([
            f"Port {self.port}", "ListenAddress 127.0.0.1", f"HostKey {self.host_key}",
            f"AuthorizedKeysFile {authorized}", f"PidFile {directory}/sshd.pid", "StrictModes no",
            "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
            "PermitRootLogin yes", "AcceptEnv GIT_PROTOCOL", "LogLevel DEBUG", ""]))
        if os.geteuid() == 0:
            # As the system's service makes it for a root's sshd. It stays: another test's may need it.
            os.makedirs("/run/sshd", 0o755, exist_ok=True)
        self._log = open(directory / "sshd.log", "wb")
        self._process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(config)],
                                         stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log)
        self._wait()

    def _wait(self):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (self.directory / "sshd.log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("sshd does not listen")

    def url(self, path):
        return f"ssh://{self.user}@127.0.0.1:{self.port}{path}"

    def known_hosts(self, key=None):
        """A file that says that the host has this key, its own unless told otherwise."""
        path = self.directory / f"known_hosts_{os.path.basename(str(key or self.host_key))}"
        public = (key or self.host_key).with_suffix(".pub").read_text().split()
        path.write_text(f"[127.0.0.1]:{self.port} {public[0]} {public[1]}\n")
        return path

    def close(self):
        self._process.terminate()
        self._process.wait()
        self._log.close()
