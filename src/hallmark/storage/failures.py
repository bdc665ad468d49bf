"""Which errors are answered by a sentence: those of a user's settings and data, and those of the machine.

Everything else is a mistake in code, of this package or of a user's own classes, and keeps its traceback.
"""

import dis
import errno
import re
import traceback
from collections.abc import Iterator

from hallmark.storage.secrets import redacted

_MACHINE = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ENOTDIR,
    errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE, errno.ESTALE,
}  # fmt: skip
# Writers in C++ and NumPy's `tofile` do not say why a write fell short.
_SHORT_WRITE = re.compile(r"PytorchStreamWriter failed writing file|requested and \d+ written|file write failed")
_LOOPS = "lightning.pytorch.trainer.call"  # stands in every traceback from within a fit or a prediction


def sentence(error: BaseException) -> str | None:
    """What `error` says to a user, secrets taken out; None for a mistake in code.

    A ValueError is for what a user did if its class is Hallmark's own, or if a statement of Hallmark's own raised it
    outside of a fit and of a prediction. So a module's own training step, a library, and a user's class keep their
    tracebacks.
    """
    if isinstance(error, ValueError) and (_is_hallmark(type(error).__module__) or is_stated(error)) and str(error):
        message: str | None = str(error)
    else:
        message = next(filter(None, map(_of_the_machine, _chain(error))), None)
    return None if message is None else redacted("\n".join([message, *getattr(error, "__notes__", [])]))


def traceback_text(error: BaseException) -> str:
    """The whole traceback of `error`, with its notes, secrets taken out."""
    return redacted("".join(traceback.format_exception(error)))


def is_stated(error: ValueError) -> bool:
    """Whether `error` comes from a `raise` of Hallmark's own, outside of a fit and of a prediction."""
    modules, raised, trace = [""], False, error.__traceback__
    while trace is not None:
        modules.append(trace.tb_frame.f_globals.get("__name__", ""))
        raised = trace.tb_frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
        trace = trace.tb_next
    return type(error) is ValueError and raised and _is_hallmark(modules[-1]) and _LOOPS not in modules


def _is_hallmark(module: str) -> bool:
    return module.partition(".")[0] == "hallmark"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """`error` and what it was raised from or while handling."""
    visited: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in visited:
        visited.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)


def _of_the_machine(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.errno in _MACHINE:
        if error.errno in (errno.EPERM, errno.EACCES) and error.filename is None:
            return None  # of a process or a socket, which code asked for
        return f"{error.filename}: {error.strerror}" if error.filename is not None else str(error.strerror)
    library = type(error).__module__.partition(".")[0]
    if library == "yaml":
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if mark is not None:
            problem = getattr(error, "problem", None) or getattr(error, "context", None) or "not valid YAML"
            return f"{mark.name}, line {mark.line + 1}, column {mark.column + 1}: not valid YAML ({problem})"
        name = getattr(error, "name", None)
        return f"{name}: not valid YAML ({_first_lines(error)})" if name else f"not valid YAML: {_first_lines(error)}"
    if library == "sqlalchemy" and hasattr(error, "orig"):
        return f"storage: the database does not answer as it should: {_first_lines(error.orig)}"
    if isinstance(error, OSError | RuntimeError) and _SHORT_WRITE.search(str(error)):
        return f"a file could not be written whole, as on a full disk ({_first_lines(error)})"
    return None


def _first_lines(error: object) -> str:
    """At most two lines of a library's message, as one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:2]) or type(error).__name__
