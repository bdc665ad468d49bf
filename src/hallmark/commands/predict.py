"""Predict new files by a finished run or a set of repeats.

RESULT is the folder of a finished run, of a set of repeats, whose probabilities are averaged, or of an experiment that
holds one of them. INPUT is a file or a folder of the kind that the system reads. A file that cannot be read is listed,
and the others are predicted.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 20  # rows on the terminal
_PROBABILITY = re.compile(r"(?:.*: )?P\((.*)\)")  # names of the columns of probabilities
_CLASSES = 6  # whose probabilities stand in columns of their own there, and on a page


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("result", metavar="RESULT", type=Path, help="a finished run or set of repeats, such as outputs/.../latest")
    add("inputs", nargs="+", metavar="INPUT", type=Path, help="what is to be predicted")
    add("--output", metavar="FILE", type=Path, help="write the answers there: .csv, .parquet or .jsonl")
    add("--page", metavar="FILE", type=Path, help="write them as one HTML page, with their pictures")
    add("--json", action="store_true", help="print one JSON list instead of a table")
    add("--batch-size", metavar="N", type=int, help="rows a step")
    add("--strict", action="store_true", help="exit with 1 where a file could not be read")
    examples = "trusted_packages=[mypackage] for a run with classes of your own; paths.cache=... for other places"
    add("--setting", action="append", default=[], metavar="KEY=VALUE", help=examples)


def run(arguments: argparse.Namespace) -> int:
    """Print or write the answers; warnings and problems go to stderr.

    Returns:
        1 where `--strict` finds a file that could not be read, else 0.

    Raises:
        ValueError: no finished result, rows of the sealed test split, an output of another kind, that is an input or
            that cannot be written, a setting without effect.
    """
    from hallmark.checks import require
    from hallmark.storage.destinations import check_file, check_no_input

    output = arguments.output
    for option, path, suffixes in (("--output", output, tuple(_WRITERS)), ("--page", arguments.page, (".html",))):
        if path is not None:
            check_file(option, path, suffixes=suffixes)
            check_no_input(option, path, arguments.inputs)
    if arguments.batch_size is not None:
        require(arguments.batch_size >= 1, "--batch-size", arguments.batch_size, "at least 1")

    from hallmark.data.problems import Policy
    from hallmark.engine.config.settings import check_resampling
    from hallmark.engine.config.trust import Trust
    from hallmark.engine.launch import composed_for_result
    from hallmark.engine.messages import echo
    from hallmark.engine.new_files import predict_files  # torch loads here, and not for --help
    from hallmark.runs.repeats import open_result

    config = composed_for_result(arguments.result, arguments.setting, also_read=("statistics",))
    with redirect_stdout(sys.stderr):  # stdout is for answers, whatever is said meanwhile
        answers = predict_files(
            open_result(arguments.result), arguments.inputs, trust=Trust.of(config),
            resampling=check_resampling(config), batch_size=arguments.batch_size, progress=not arguments.json,
        )  # fmt: skip
        problems = answers.problems.table()
        details = problems["detail"].tolist()
        more = [f"{len(details) - _SHOWN} more problems"] if len(details) > _SHOWN else []
        for sentence in [*answers.warnings, *details[:_SHOWN], *more]:
            echo(f"warning: {sentence}")
    table = with_unanswered(readable_table(answers.table), answers.unanswered)
    written = []
    if output is not None:
        _WRITERS[output.suffix](output, table)
        written.append(output)
    if arguments.page is not None:
        from hallmark.report.answers import write_answers

        answered = brief(table.drop(columns="warning", errors="ignore"))
        written.append(write_answers(arguments.page, str(arguments.result), answered, answers.rows, answers.warnings))
    if arguments.json:
        print(json.dumps(_records(table), indent=2, ensure_ascii=False))
    else:
        _show(str(arguments.result), table)
    for path in written:
        print(path, file=sys.stderr if arguments.json else None)
    return int(arguments.strict and bool((problems["policy"] != Policy.KEEP).any()))


def _show(title: str, table: "pd.DataFrame") -> None:
    """Print the first answers, and below them their reasons."""
    from hallmark.analysis.presentation import show

    first = brief(table.head(_SHOWN))
    explained = first.dropna(subset="reason") if "reason" in first else first.iloc[:0]
    reasons = [f"{row['id']}: {row['reason']}" for row in explained.to_dict("records")]
    more = [f"{len(table) - _SHOWN} more rows; --output FILE writes all"] if len(table) > _SHOWN else []
    empty = [name for name in first if (first[name].isna() | (first[name] == "")).all()]
    show(title, first.drop(columns=["reason", "warning", *empty], errors="ignore"), notes=reasons + more)


def readable_table(answers: "pd.DataFrame") -> "pd.DataFrame":
    """The answers with one column for the probability of each class, without what new files do not have.

    The place of a picture is left out: the id says which it is, and a crop or the frame of a video is a file of ours.
    """
    import pandas as pd

    several = answers["task"].nunique() > 1
    columns = {"id": answers["id"], **({"task": answers["task"]} if several else {})}
    columns["prediction"] = answers["prediction"]
    for task, classes in answers.attrs["classes"].items():
        of_task = answers["task"] == task
        if not of_task.any():
            continue
        for number, name in enumerate(classes):
            probability = answers.loc[of_task, "probabilities"].map(lambda values, number=number: values[number])
            columns[f"{task}: P({name})" if several else f"P({name})"] = probability.reindex(answers.index)
    named = {str(name): str(name).removeprefix("info_") for name in answers if str(name).startswith("info_")}
    named.pop("info_path", None)
    return pd.DataFrame({**columns, **{short: answers[name] for name, short in named.items()}}).reset_index(drop=True)


def brief(table: "pd.DataFrame") -> "pd.DataFrame":
    """`readable_table` with the probability of the answer and the runner-up in place of those of many classes."""
    import numpy as np

    classes = {name: match[1] for name in table if (match := _PROBABILITY.fullmatch(str(name)))}
    if len(classes) <= _CLASSES:
        return table
    values, names = table[list(classes)].astype(float), list(classes.values())
    ordered = np.argsort(-values.to_numpy(), axis=1, kind="stable")  # nan of other tasks and of no answer comes last
    best, next_best = (np.take_along_axis(values.to_numpy(), ordered[:, [rank]], axis=1)[:, 0] for rank in (0, 1))
    runners_up = [
        f"{names[number]} {value:.3f}" if np.isfinite(value) else ""
        for number, value in zip(ordered[:, 1], next_best, strict=True)
    ]
    columns = [name for name in table if name not in classes]
    after = columns.index("prediction") + 1
    names = [*columns[:after], "P", "runner_up", *columns[after:]]
    return table.assign(P=best, runner_up=runners_up)[names]


def with_unanswered(table: "pd.DataFrame", unanswered: "pd.DataFrame") -> "pd.DataFrame":
    """The answers, followed by a row for each file that has none, whose column `problem` says why."""
    import pandas as pd

    if unanswered.empty or table.empty:
        return table if unanswered.empty else unanswered
    both = pd.concat([table.assign(problem=""), unanswered], ignore_index=True)
    return both.astype({name: "Int64" for name in table if table[name].dtype.kind == "i"})


def _write_csv(path: Path, table: "pd.DataFrame") -> None:
    from hallmark.storage.files import write_csv

    write_csv(path, table)


def _write_parquet(path: Path, table: "pd.DataFrame") -> None:
    from hallmark.storage.files import write_parquet

    write_parquet(path, table)


def _write_lines(path: Path, table: "pd.DataFrame") -> None:
    from hallmark.storage.files import write_text

    write_text(path, "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in _records(table)))


def _records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """The rows with None for what is missing."""
    records: list[dict[str, Any]] = json.loads(table.to_json(orient="records", double_precision=15))
    return records


_WRITERS: "dict[str, Callable[[Path, pd.DataFrame], None]]" = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".jsonl": _write_lines,
}
