# SPDX-License-Identifier: MIT
"""Start RabbitMQ with the one user whose password is in a file.

The node reads users from definitions at each start, so another password counts after a restart.
They hold a salted hash, no password.
"""
import base64
import hashlib
import json
import os
import sys

DIRECTORY = "/var/lib/rabbitmq"
SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"


def read_password():
    """The first line of the file."""
    path = os.environ["RABBITMQ_PASSWORD_FILE"]
    try:
        with open(path, encoding="utf-8") as file:
            password = file.read(4097).removesuffix("\n")
    except OSError as error:
        sys.exit(f"start: RABBITMQ_PASSWORD_FILE: {error}")
    if not password or len(password) > 4096 or "\n" in password:
        sys.exit(f"start: RABBITMQ_PASSWORD_FILE: {path} has to hold one line, the password")
    return password


def definitions(user, password):
    """One user who may do all in the virtual host '/'."""
    salt = os.urandom(4)
    digest = hashlib.sha256(salt + password.encode()).digest()
    return {
        "vhosts": [{"name": "/"}],
        "users": [{"name": user, "password_hash": base64.b64encode(salt + digest).decode(),
                   "hashing_algorithm": "rabbit_password_hashing_sha256",
                   "tags": "administrator"}],
        "permissions": [{"user": user, "vhost": "/", "configure": ".*", "write": ".*",
                         "read": ".*"}],
    }


def main():
    """Write the definitions, and become the server."""
    os.umask(0o077)
    text = json.dumps(definitions(os.environ["RABBITMQ_USER_NAME"], read_password()))
    path = os.path.join(DIRECTORY, "definitions.json")
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)
    os.execv(SERVER, [SERVER])


if __name__ == "__main__":
    main()
