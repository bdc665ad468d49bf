"""Predict new files by a finished run or a set of repeats.

RESULT is the folder of a finished run, of a set of repeats, whose probabilities are averaged, or of an experiment that
holds one of them. INPUT is a file or a folder of the kind that the system reads. A file that cannot be read is listed,
and the others are predicted.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 20  # rows on the terminal


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
    """Print or write the answers; 1 where `--strict` finds a file that could not be read.

    Raises:
        ValueError: no finished result, no readable input, rows of the sealed test split, an output of another kind.
    """
    from hallmark.checks import require

    output = arguments.output
    if output is not None:
        require(output.suffix in _WRITERS, "--output", str(output), f"a file that ends in {', '.join(_WRITERS)}")
    if arguments.page is not None:
        require(arguments.page.suffix == ".html", "--page", str(arguments.page), "a file that ends in .html")
    if arguments.batch_size is not None:
        require(arguments.batch_size >= 1, "--batch-size", arguments.batch_size, "at least 1")

    from hallmark.analysis.presentation import show
    from hallmark.engine.config.settings import check_resampling
    from hallmark.engine.config.trust import Trust
    from hallmark.engine.launch import composed
    from hallmark.engine.new_files import predict_files  # torch loads here, and not for --help
    from hallmark.runs.repeats import open_result

    config = composed("evaluate", arguments.setting)
    answers = predict_files(
        open_result(arguments.result), arguments.inputs, trust=Trust.of(config), resampling=check_resampling(config),
        batch_size=arguments.batch_size, progress=not arguments.json,
    )  # fmt: skip
    listed = answers.problems.table()
    table = with_unanswered(readable_table(answers.table), listed)
    if output is not None:
        _WRITERS[output.suffix](output, table)
    if arguments.json:
        print(table.to_json(orient="records", indent=2, force_ascii=False))
        return int(arguments.strict and len(listed) > 0)
    if len(listed):
        show(f"{len(listed)} problems", listed[["id", "kind", "detail"]])
    more = [f"{len(table) - _SHOWN} more rows; --output FILE writes all"] if len(table) > _SHOWN else []
    first = table.head(_SHOWN)
    explained = first.dropna(subset="reason") if "reason" in first else first.iloc[:0]
    reasons = [f"{row['id']}: {row['reason']}" for row in explained.to_dict("records")]
    show(str(arguments.result), first.drop(columns=["path", "video", "reason"], errors="ignore"), notes=reasons + more)
    if output is not None:
        print(output)
    if arguments.page is not None:
        from hallmark.report.answers import write_answers

        print(write_answers(arguments.page, str(arguments.result), table, answers.rows))
    return int(arguments.strict and len(listed) > 0)


def readable_table(answers: "pd.DataFrame") -> "pd.DataFrame":
    """The answers with one column for the probability of each class, without what new files do not have."""
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
    return pd.DataFrame({**columns, **{short: answers[name] for name, short in named.items()}}).reset_index(drop=True)


def with_unanswered(table: "pd.DataFrame", problems: "pd.DataFrame") -> "pd.DataFrame":
    """The answers, followed by a row for each file that has none, whose column `problem` says why."""
    import pandas as pd

    from hallmark.data.problems import listed_id

    unanswered = problems[~problems["id"].isin(table["id"].map(listed_id))].drop_duplicates("id")
    if unanswered.empty:
        return table
    rows = pd.DataFrame({"id": unanswered["id"], "problem": unanswered["kind"].str.replace("_", " ")})
    both = pd.concat([table.assign(problem=""), rows], ignore_index=True)
    return both.astype({name: "Int64" for name in table if table[name].dtype.kind == "i"})


def _write_csv(path: Path, table: "pd.DataFrame") -> None:
    from hallmark.storage.files import write_csv

    write_csv(path, table)


def _write_parquet(path: Path, table: "pd.DataFrame") -> None:
    from hallmark.storage.files import write_parquet

    write_parquet(path, table)


def _write_lines(path: Path, table: "pd.DataFrame") -> None:
    from hallmark.storage.files import write_text

    write_text(path, table.to_json(orient="records", lines=True, force_ascii=False))


_WRITERS: "dict[str, Callable[[Path, pd.DataFrame], None]]" = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".jsonl": _write_lines,
}
