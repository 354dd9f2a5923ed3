"""A PostgreSQL server of the tests' own: in a temporary folder, on a port of loopback, with passwords. It ends with us, however we end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import run, spawn, wait_until

PASSWORD = "p4ss word of the works"


def programs() -> Path:
    """Those of the newest version from 15 on, as Debian lays them out."""
    versions = [int(path.name) for path in Path("/usr/lib/postgresql").glob("*") if path.name.isdigit()]
    newest = max((version for version in versions if version >= 15), default=None)
    if newest is None:
        raise unittest.SkipTest("PostgreSQL from 15 on is not installed (Debian package postgresql)")
    return Path(f"/usr/lib/postgresql/{newest}/bin")


class Postgres:
    """One that runs. `stop` ends it as a power cut does."""

    def __init__(self):
        self.bin = programs()
        self.folder = Path(tempfile.mkdtemp(prefix="andon-postgres-"))
        # It refuses to run as root.
        self.owner = {}
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self.owner = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.data = self.folder / "data"
        made = run(
            [self.bin / "initdb", "-D", self.data, "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "-E", "UTF8", "--locale=C", "--no-sync"],
            cwd=self.folder,
            **self.owner,
        )
        assert made.returncode == 0, made.stderr
        self.process: subprocess.Popen | None = None
        self.start()
        self.psql(f"CREATE ROLE andon LOGIN PASSWORD '{PASSWORD}'", database="postgres")
        self.make("andon")

    def start(self) -> None:
        with (self.folder / "server.log").open("ab") as log:
            self.process = spawn(
                [self.bin / "postgres", "-D", self.data, "-k", self.folder, "-h", "127.0.0.1", "-p", self.port],
                cwd=self.folder,
                stdout=log,
                stderr=log,
                **self.owner,
            )
        ready = [self.bin / "pg_isready", "-q", "-h", "127.0.0.1", "-p", self.port]
        wait_until("PostgreSQL is ready", lambda: run(ready).returncode == 0, 30)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(timeout=20)

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def make(self, database: str) -> None:
        self.psql(f"CREATE DATABASE {database} OWNER andon", database="postgres")

    def url(self, database: str = "andon") -> str:
        return f"postgres://andon@127.0.0.1:{self.port}/{database}?sslmode=disable"

    def settings(self, database: str = "andon") -> str:
        """For andon.toml."""
        return f'[records]\nurl = "{self.url(database)}"\nsecret = "records"\n'

    def psql(self, statement: str, *, database: str = "andon", user: str = "postgres") -> list[list[str]]:
        """The rows of an answer, as psql prints them."""
        command = ["psql", "-X", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", self.port, "-U", user, "-d", database]
        done = run([*command, "-c", statement], env={**os.environ, "PGPASSWORD": PASSWORD, "PGTZ": "UTC"})
        assert done.returncode == 0, done.stderr
        return [line.split("\t") for line in done.stdout.splitlines()]
