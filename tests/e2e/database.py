# SPDX-License-Identifier: MIT
"""A database of one test, and the settings with which the services keep their data in it."""


class Database:
    """In a server that may have others."""

    def __init__(self, server, name):
        self.server = server
        self.name = "".join(c if c.isalnum() else "_" for c in name.lower())[:50]
        server.query(f"CREATE DATABASE {self.name}")

    def query(self, sql):
        """What a statement in it gives, without decoration."""
        return self.server.query(sql, self.name)

    def url(self, user="godwit"):
        """Where it is, without a password."""
        return f"postgresql://{user}@127.0.0.1:{self.server.port}/{self.name}"

    def url_with_password(self):
        """The same with it."""
        return self.url().replace("godwit@", f"godwit:{self.server.password}@")

    def accounts(self):
        """Settings of accountservice."""
        return {"account_store": self.url(), "store_password": self.server.password}

    def vips(self):
        """Settings of vipservice."""
        return {"vip_store": self.url(), "store_password": self.server.password}
