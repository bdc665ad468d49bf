"""A process that does not outlive the one that started it."""

import os
import threading
from collections.abc import Callable


def exit_with_parent(exit_process: Callable[[], object]) -> None:
    """Call `exit_process` in a thread once standard input, a pipe of the parent's, closes; however the parent ended."""

    def wait() -> None:
        while os.read(0, 4096):  # not sys.stdin, whose lock this thread would hold while the interpreter ends
            pass
        exit_process()

    threading.Thread(target=wait, daemon=True).start()
