"""A process that does not outlive the one that started it."""

import os
import threading
from collections.abc import Callable


def end_with_parent(end: Callable[[], object]) -> None:
    """Call `end` in a thread once standard input, a pipe of the parent's, is closed; however the parent ended."""

    def wait() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock this thread would hold while the interpreter ends
            pass
        end()

    threading.Thread(target=wait, daemon=True).start()
