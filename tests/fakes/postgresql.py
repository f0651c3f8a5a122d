"""A PostgreSQL of our own, where Debian's package is installed: in a folder, on a free port."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "not-a-secret-but-must-not-be-told"
INSTALLED = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))


def _other_user() -> str | None:
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@dataclass
class Cluster:
    """A server that can be stopped and started again.

    Attributes:
        folder: Of its data.
        port: It listens on.
        host: Address it listens on.
        namespace: Of the network it is in; empty: ours.
        user: That it runs as.
    """

    folder: Path
    port: int
    host: str = "127.0.0.1"
    namespace: str = ""
    user: str = field(default_factory=lambda: _other_user() or getpass.getuser())
    _server: subprocess.Popen[bytes] | None = None

    def _as(self) -> dict[str, str]:
        return {"user": self.user} if os.geteuid() == 0 else {}

    def make(self) -> None:
        words = self.folder / "password"
        words.write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (self.folder, words):
                shutil.chown(path, self.user)
        subprocess.run(
            [
                str(INSTALLED[-1]),
                "--pgdata",
                str(self.folder / "data"),
                "--username=node",
                "--auth=scram-sha-256",
                f"--pwfile={words}",
                "--no-sync",
                "--encoding=UTF8",
                "--locale=C",
            ],
            check=True,
            capture_output=True,
            cwd=self.folder,
            **self._as(),  # type: ignore[call-overload]
        )

    def _let_in_from_elsewhere(self) -> None:
        with (self.folder / "data" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all all scram-sha-256\n")

    def _elsewhere(self) -> list[str]:
        """To enter the namespace one has to be root, and leave that behind."""
        return [
            *("ip", "netns", "exec", self.namespace),
            *("setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups"),
        ]

    def start(self) -> None:
        self._server = subprocess.Popen(
            [
                *(self._elsewhere() if self.namespace else []),
                str(INSTALLED[-1].with_name("postgres")),
                "-D",
                str(self.folder / "data"),
                "-p",
                str(self.port),
                "-h",
                self.host,
                "-k",
                str(self.folder),
                "-c",
                "fsync=off",
                "-c",
                "max_connections=200",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            **({} if self.namespace else self._as()),  # type: ignore[call-overload]
        )
        import psycopg

        for _ in range(300):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(self.address("postgres"), connect_timeout=2).close()
                return
            time.sleep(0.1)
        raise AssertionError("PostgreSQL does not start")

    def stop(self) -> None:
        """At once, with every connection cut."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(30)
            self._server = None

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """It holds its connections and says nothing, as on a disk that hangs."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        assert self._server is not None
        server = psutil.Process(self._server.pid)
        for process in (server, *server.children()):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def address(self, database: str) -> str:
        return f"postgresql://node:{PASSWORD}@{self.host}:{self.port}/{database}"

    def fresh(self, name: str) -> str:
        """SQLAlchemy URL of an empty database."""
        import psycopg

        with psycopg.connect(self.address("postgres"), autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # type: ignore[arg-type]
            connection.execute(f'CREATE DATABASE "{name}"')  # type: ignore[arg-type]
        return self.address(name).replace("postgresql:", "postgresql+psycopg:", 1)


@contextlib.contextmanager
def cluster(**where: str) -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="node-postgresql-"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    made = Cluster(folder, port, **where)
    try:
        made.make()
        if made.namespace:
            made._let_in_from_elsewhere()
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)
