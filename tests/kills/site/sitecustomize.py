"""Kills the first process of this interpreter's kind that comes to point $KILL_AT below $KILL_IN; once, by $KILL_ONCE.

For worker processes, which are started and not forked: Python imports this file by its name when it starts.
"""

import contextlib
import os
import signal
import sys

_CHANGES = {"os.rename", "os.remove", "os.rmdir"}
_count = 0


def _hear(event: str, arguments: tuple) -> None:
    global _count
    if event not in _CHANGES or "hallmark.engine.search.worker" not in " ".join(sys.orig_argv):
        return
    if any(os.environ["KILL_IN"] in os.fsdecode(a) for a in arguments if isinstance(a, str | bytes)):
        _count += 1
        if _count == int(os.environ["KILL_AT"]):
            with contextlib.suppress(FileExistsError):
                os.close(os.open(os.environ["KILL_ONCE"], os.O_CREAT | os.O_EXCL))
                os.kill(os.getpid(), signal.SIGKILL)


if "KILL_AT" in os.environ:
    sys.addaudithook(_hear)
