"""Python processes that import nothing again: each is forked from a server that has imported what commands need.

`Process` is `subprocess.Popen`, and what it starts is a process like any other: a child of this one with its own id,
streams, environment, folder and default handlers of signals, which ends as an interpreter does. Only the six seconds of
importing torch are spent once, in one server for each worker of pytest-xdist, which ends with that worker. The same
holds for the processes that such a process starts through `subprocess`, as the workers of a sweep. Their figures are
blank.

A command line of another program, and an environment that differs from the server's in what libraries read while they
are imported, start a fresh interpreter, as do the tests of what is imported.
"""

import atexit
import ctypes
import gc
import inspect
import json
import os
import random
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

COMMANDS = (
    "hallmark.engine.evaluate", "hallmark.engine.search.sweep", "hallmark.engine.search.worker", "pandas",
    "hallmark.systems.sentiment.data", "hallmark.systems.sentiment.module", "hallmark.learning.heads",
    "hallmark.systems.touch.data", "hallmark.systems.touch.module", "hallmark.systems.refseg.module",
    "sklearn.linear_model", "sklearn.feature_extraction.text", "matplotlib.backends.backend_pdf", "timm", "open_clip",
)  # fmt: skip
_READ_AT_IMPORT = (
    "PYTHON", "LC_", "LANG", "HOME", "TMPDIR", "XDG_", "MPL", "HF_", "TOKENIZERS_", "OMP_", "MKL_", "OPENBLAS_",
    "TORCH", "CUDA_", "SLURM_",
)  # fmt: skip
_READ_LATER = ("TORCHELASTIC_", "TORCH_NCCL_", "CUDA_VISIBLE_DEVICES")
_ROOM = 4096  # bytes of a server's command line, over which each child writes its own
_TOOL = str(Path(sys.executable).with_name("hallmark"))
_SET_BY_IMPORTS: dict[str, str] = {}  # variables that what was imported here has set
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans among the descendants become children of this process
_NUMBER = struct.Struct("q")
# What starts a job of submitit expects the folder of the job, which its parent makes once it knows the process id.
_TOO_EARLY = ["-m", "submitit.local._local"]
_ALLOCATOR = "jemalloc_bg_thd"  # of pyarrow, which starts it again in a fork


class ForkServer:
    """The other end of a server, which forks a child of this process for each request, and ends with this process."""

    def __init__(self, channel: socket.socket, process: subprocess.Popen | None = None) -> None:
        self.channel, self.process = channel, process
        self.environment, self.owner, self.lock = read_at_import(os.environ), os.getpid(), threading.Lock()

    @classmethod
    def started(cls, *modules: str) -> Self:
        """A server that has imported `modules`."""
        here, there = socket.socketpair()
        with there:
            command = [sys.executable, __file__, str(there.fileno()), *modules, " " * _ROOM]
            # Pipes, because a stream that was opened on a file asks where it stands in what is no file in a child.
            pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
            process = subprocess.Popen(command, pass_fds=[there.fileno()], **pipes)
        return cls(here, process)

    def accepts(self, environment: Mapping[str, str]) -> bool:
        """Whether what the server has imported is what a process with this environment would import."""
        return os.getpid() == self.owner and read_at_import(environment) == self.environment

    def fork(self, request: Mapping[str, Any], streams: Sequence[int]) -> int:
        """Process id of a new child that carries out `request` with `streams` as standard input, output and error."""
        content = json.dumps(request).encode()
        prctl = ctypes.CDLL(None).prctl
        with self.lock:
            prctl(_SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(self.channel, [_NUMBER.pack(len(content))], streams)
                self.channel.sendall(content)
                answers = [_received(self.channel, _NUMBER.size) for _ in range(2)]  # of the child and of the server
            except OSError as error:
                printed = self.process.stderr.read().decode() if self.process else ""
                raise RuntimeError(f"the server has ended: {printed}") from error
            finally:
                prctl(_SUBREAPER, 0, 0, 0, 0)
        return sum(_NUMBER.unpack(answer)[0] for answer in answers)


class Process(subprocess.Popen):
    """`subprocess.Popen` by way of a server, where one accepts the command; `server` is started with the first."""

    modules: Sequence[str] = COMMANDS
    server: ForkServer | None = None

    def _execute_child(self, *arguments: Any) -> None:
        call = inspect.signature(super()._execute_child).bind(*arguments).arguments
        environment = os.environ if call["env"] is None else call["env"]
        if not _is_python(call) or not self._server().accepts(environment):
            super()._execute_child(*arguments)
            return
        request = {
            "words": [os.fspath(word) for word in call["args"]], "environment": dict(environment),
            "folder": os.fspath(call["cwd"] or Path.cwd()), "session": call["start_new_session"],
            "group": call["process_group"],
        }  # fmt: skip
        streams = [call["p2cread"], call["c2pwrite"], call["errwrite"]]
        self.pid = self._server().fork(request, [number if fd == -1 else fd for number, fd in enumerate(streams)])
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(call[name] for name in pipes))

    @classmethod
    def _server(cls) -> ForkServer:
        if cls.server is None:
            cls.server = ForkServer.started(*cls.modules)
        return cls.server


def _is_python(call: Mapping[str, Any]) -> bool:
    """Whether this interpreter is called with a program, and nothing but its streams, folder and group is special."""
    if call["shell"] or call["preexec_fn"] or call["pass_fds"] or isinstance(call["args"], str | bytes):
        return False
    program, *words = _without_flag([os.fspath(word) for word in call["args"]])
    if words[:2] == _TOO_EARLY:
        return False
    return program == _TOOL or (program == sys.executable and bool(words) and _is_program(words[0]))


def _without_flag(words: Sequence[str]) -> list[str]:
    """A command line without the flag to write at once, which changes nothing that is done."""
    return [word for number, word in enumerate(words) if (number, word) != (1, "-u")]


def _is_program(word: str) -> bool:
    return word in ("-c", "-m") or not word.startswith("-")


def read_at_import(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that libraries read while they are imported."""
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(_READ_AT_IMPORT) and not name.startswith(_READ_LATER)
    }


def _received(channel: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        part = channel.recv(size - len(content))
        if not part:
            raise ConnectionResetError
        content += part
    return content


def _carry_out_requests(channel: socket.socket) -> None:
    """Fork a child for each request; ends with the channel, and in each child with its command."""
    threads = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    assert len([name for name in threads if name != _ALLOCATOR]) == 1, f"threads that no child would have: {threads}"
    while True:
        header, streams, *_ = socket.recv_fds(channel, _NUMBER.size, 3)
        if not header:
            os._exit(0)
        request = json.loads(_received(channel, *_NUMBER.unpack(header)))
        if (between := os.fork()) == 0:
            if os.fork():
                os._exit(0)  # an orphan is the child of the process that asked for it
            break
        for stream in streams:
            os.close(stream)
        os.waitpid(between, 0)
        channel.sendall(_NUMBER.pack(0))
    if request["session"]:  # before its own server, whose children belong to this session and group as well
        os.setsid()
    elif request["group"] >= 0:
        os.setpgid(0, request["group"])
    _serve_own_children([channel.fileno(), *streams])
    _show(request["words"])
    _become(request, streams)
    channel.sendall(_NUMBER.pack(os.getpid()))
    channel.close()
    _end(_status_of(request["words"]))


def _serve_own_children(not_theirs: Sequence[int]) -> None:
    """Let the processes that this one starts be forked from what it is now."""
    here, there = socket.socketpair()
    if os.fork() == 0:
        for number in [here.detach(), *not_theirs]:
            os.close(number)
        _carry_out_requests(there)
    there.close()
    Process.server = ForkServer(here)
    subprocess.Popen = Process  # type: ignore[misc]


def _show(words: Sequence[str]) -> None:
    """Let the list of processes show this command line."""
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, size = int(fields[45]), int(fields[46]) - int(fields[45])
    ctypes.memmove(start, "\0".join(words).encode()[: size - 1].ljust(size, b"\0"), size)


def _become(request: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Make this fork what a process is that was just started."""
    os.environ.clear()
    os.environ.update(request["environment"] | _SET_BY_IMPORTS)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(request["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    if rank_zero := sys.modules.get("lightning.fabric.utilities.rank_zero"):  # it reads its rank when it is imported
        rank_zero.rank_zero_only.rank = rank_zero._get_rank() or 0
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed(random.SystemRandom().getrandbits(32))


def _status_of(words: Sequence[str]) -> int:
    """Carry out a command line; gives the exit status, and prints what was raised, as the interpreter does."""
    try:
        _execute(words)
    except SystemExit as raised:
        if raised.code is None or isinstance(raised.code, int):
            return raised.code or 0
        print(raised.code, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return 1
    return 0


def _end(status: int) -> None:
    """Leave as the interpreter does, but for taking apart what was imported, which takes longer than most commands."""
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(status & 0xFF)


def _execute(words: Sequence[str]) -> None:
    """What the interpreter does with a command line."""
    first, *further = _without_flag(words)[1:] if words[0] == sys.executable else words
    if first == "-c":
        sys.argv, sys.path[0] = ["-c", *further[1:]], ""
        exec(compile(further[0], "<string>", "exec"), {"__name__": "__main__", "__builtins__": __builtins__})
    elif first == "-m":
        sys.argv, sys.path[0] = ["-m", *further[1:]], str(Path.cwd())
        sys.modules.pop(further[0], None)
        runpy.run_module(further[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = [first, *further], str(Path(first).resolve().parent)
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    before = dict(os.environ)
    for module in sys.argv[2:-1]:
        __import__(module)
    if "hallmark.analysis.plots.style" in sys.modules:
        import blank

        blank.PaperFigure.savefig = blank.savefig  # type: ignore[method-assign]
    _SET_BY_IMPORTS.update({name: value for name, value in os.environ.items() if before.get(name) != value})
    gc.freeze()  # no child looks through what all of them have
    _carry_out_requests(socket.socket(fileno=int(sys.argv[1])))
