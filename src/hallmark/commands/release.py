"""Check, measure and archive a result, or verify such an archive.

A result is a finished run or set of repeats. The archive holds its weights, configuration, predictions, metrics,
test accesses and environment, and can be verified anywhere.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("result", nargs="?", type=Path, metavar="RESULT", help="directory of a finished run or set of repeats")
    add("--waive", action="append", default=[], metavar="CHECK",
        help="release although this check fails, which the archive says; a refusal names its checks")  # fmt: skip
    add("--into", type=Path, metavar="FILE", help="Markdown file for settings and results (RESULTS.md beside RESULT)")
    add("--no-tag", action="store_true", help="make no git tag hallmark/<name>/<id>")
    examples = "trusted_packages=[mypackage] for a run with classes of your own; paths.cache=... for other places"
    add("--setting", action="append", default=[], metavar="KEY=VALUE", help=examples)
    add("--verify", type=Path, metavar="ARCHIVE", help="verify an archive instead")


def run(arguments: argparse.Namespace) -> int:
    if (arguments.result is None) == (arguments.verify is None):
        raise ValueError("give either a result to release, outputs/<experiment>/<id>, or --verify ARCHIVE")
    if arguments.verify is None:
        from hallmark.engine.config.trust import Trust
        from hallmark.engine.launch import composed_for_result
        from hallmark.engine.release.release import release  # torch loads here, and not for --help
        from hallmark.storage.destinations import check_file

        if arguments.into is not None:
            check_file("--into", arguments.into)
        trust = Trust.of(composed_for_result(arguments.result, arguments.setting))
        release(arguments.result, waived=arguments.waive, into=arguments.into, tagged=not arguments.no_tag, trust=trust)
        return 0
    options = {"--waive": arguments.waive, "--into": arguments.into, "--no-tag": arguments.no_tag}
    if ignored := [option for option, value in options.items() if value]:
        raise ValueError(f"{', '.join(ignored)}: no effect with --verify, which writes nothing; leave it out")
    from hallmark.engine.release.verify import WEIGHTS, verify
    from hallmark.wording import plural

    counts = verify(arguments.verify)
    print(f"{arguments.verify}: {counts.files} files as they were written, {counts.metrics} metrics computed again "
        f"from the predictions and equal, {counts.tensors} tensors equal in checkpoint and {WEIGHTS}, "
        f"{plural(counts.states, 'file')} of fitted state as recorded")  # fmt: skip
    return 0
