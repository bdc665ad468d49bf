"""`hallmark <command>`: the small tools around train.py, evaluate.py and sweep.py."""

import argparse
import difflib
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from hallmark.storage.failures import sentence, traceback_text
from hallmark.storage.streams import make_streams_tolerant

# The first line of each module's docstring, written here because importing a command can be heavy.
COMMANDS = {
    "runs": "List runs, sets of repeats and sweeps.",
    "predict": "Predict new files by a finished run or a set of repeats.",
    "report": "Write one or many runs as a Markdown and a self-contained HTML page.",
    "release": "Check, measure and archive a result, or verify such an archive.",
    "extract": "Write what the last layer of a trained model sees of a split, for other programs.",
    "generate": "Write pictures that a finished run draws, each as a PNG and all on one sheet.",
    "roles": "Learn characters from a few pictures, and say who is in one.",
    "check-data": "List everything that is wrong with the data of a preset, before any fit.",
    "doctor": "Check environment, devices, weights, data and keys, and say what to do.",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        0 if all is well, 2 after a sentence for what a user or the machine did, 130 after Ctrl-C, 1 after the
        traceback of a mistake in code.
    """
    make_streams_tolerant()
    name, *words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        code = 0
        if name in ("-h", "--help"):
            lines = [f"  {command:<12}{line}" for command, line in COMMANDS.items()]
            usage = ["usage: hallmark <command> [arguments]", "", *lines, "", "hallmark <command> --help says more."]
            print("\n".join(usage))
        elif name not in COMMANDS:
            raise ValueError(_unknown(name, COMMANDS))
        else:
            if (folder := str(Path.cwd())) not in sys.path:
                sys.path.append(folder)  # of packages beside train.py; at the end, where it hides nothing
            command = importlib.import_module(f"hallmark.commands.{module_name(name)}")
            parser = Parser(f"hallmark {name}", description=COMMANDS[name])
            command.add_arguments(parser)
            code = int(command.run(parser.parse_args(words)))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the interpreter's own last flush
        return 0
    except Exception as error:
        if (message := sentence(error)) is not None:
            print(f"error: {message}", file=sys.stderr)
            return 2
        print(traceback_text(error), file=sys.stderr, end="")
        return 1


class Parser(argparse.ArgumentParser):
    """Answers mistakes by one sentence, with the nearest option."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "allow_abbrev": False})
        self.register("type", Path, _path)  # wherever an argument is of this type

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        parsed, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self.error(_unknown(unknown[0], self._option_string_actions))
        return parsed

    def error(self, message: str) -> NoReturn:
        print(f"error: {message} (`{self.prog} --help` lists what there is)", file=sys.stderr)
        sys.exit(2)


def _path(text: str) -> Path:
    if not text:  # an unset variable of a shell, which `Path` takes for the current folder
        raise argparse.ArgumentTypeError("expected a path; this one is empty")
    return Path(text)


def module_name(command: str) -> str:
    return command.replace("-", "_")


def _unknown(name: str, known: Any) -> str:
    near = difflib.get_close_matches(name.partition("=")[0], known, n=1, cutoff=0.5)
    kind = "option" if name.startswith("-") else "command" if known is COMMANDS else "argument"
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
    return f"{name}: no such {kind}; {hint}"


if __name__ == "__main__":
    sys.exit(main())
