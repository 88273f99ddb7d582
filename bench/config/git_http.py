# SPDX-License-Identifier: MIT
"""A git host on loopback: git's own http-backend behind Python's HTTP server.

  git_http.py PORT DIRECTORY     serves the repositories of the directory on 127.0.0.1 until killed
"""
import http.server
import os
import subprocess
import sys
import urllib.parse


class Handler(http.server.BaseHTTPRequestHandler):
    """One request is one run of git http-backend."""

    protocol_version = "HTTP/1.1"

    def _body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _environment(self, body):
        target = urllib.parse.urlsplit(self.path)
        return {**os.environ, "GIT_PROJECT_ROOT": self.server.directory, "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": urllib.parse.unquote(target.path), "QUERY_STRING": target.query,
                "REQUEST_METHOD": self.command, "CONTENT_LENGTH": str(len(body)),
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "REMOTE_USER": "bench",
                "REMOTE_ADDR": "127.0.0.1", "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}

    def _answer(self):
        body = self._body()
        done = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE,
                              env=self._environment(body), check=False)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode("latin-1").split("\r\n") if line]
        status = next((value for name, value in fields if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer

    def log_message(self, *_):
        """Nothing: the output is kept for what goes wrong."""


def main():
    """Serve until killed."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.directory = sys.argv[2]
    server.serve_forever()


if __name__ == "__main__":
    main()
