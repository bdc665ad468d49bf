"""A PostgreSQL server that lives no longer than the process that asked for it."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Debian keeps the server's programs off the PATH.
DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
PROGRAMS = os.pathsep.join([os.environ["PATH"], *map(str, DEBIAN)])

# `cat` ends when the tests' process does, by whatever death, because the pipe it reads is closed then.
LIFE = """
folder=$PWD
trap 'pg_ctl stop --silent --mode immediate; cd / && rm -rf "$folder"' EXIT
initdb --username postgres --auth trust --encoding UTF8 --locale C --no-sync || exit
pg_ctl start --silent --wait --log log --options "-F -p $1 -h 127.0.0.1 -k ''" || { cat log; exit 1; }
echo ready
cat
"""


def missing() -> str | None:
    """Why no server can be started here, None where one can."""
    if not all(shutil.which(program, path=PROGRAMS) for program in ("initdb", "pg_ctl")):
        return "no PostgreSQL server: apt-get install postgresql"
    if os.geteuid() == 0 and not _has_user("postgres"):
        return "PostgreSQL refuses to run as root and there is no user postgres"
    return None


@contextmanager
def server() -> Iterator[str]:
    """SQLAlchemy's address of an empty database that nobody else uses.

    Raises:
        RuntimeError: the server did not start; the text is what it printed.
    """
    folder = Path(tempfile.mkdtemp(prefix="hallmark-postgres-"))
    owner: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
    if owner:
        shutil.chown(folder, "postgres", "postgres")
    with _free_port() as port:
        process = subprocess.Popen(
            ["sh", "-c", LIFE, "sh", str(port)], cwd=folder, start_new_session=True, text=True, **owner,
            env={"PATH": PROGRAMS, "PGDATA": str(folder / "data")},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            printed: list[str] = []
            while (line := process.stdout.readline()) != "ready\n":
                if not line:
                    raise RuntimeError(f"PostgreSQL did not start:\n{''.join(printed)}")
                printed.append(line)
            yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        finally:
            process.communicate()


@contextmanager
def _free_port() -> Iterator[int]:
    """A port of 127.0.0.1 that is given to no other program; one that asks for it by number may still listen."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
