"""Write what the last layer of a trained model sees of a split, for other programs.

FILE is a NumPy archive: ids [N], labels [N] (−1 where a row has none), class_to_idx (JSON) and embeddings [N, D]. The
test split is sealed: only evaluate.py split=test reads it, once.
"""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", type=Path, metavar="RUN|CHECKPOINT", help="directory of a finished run, or its checkpoints/best.ckpt")
    add("--split", default="val", help="train, val, calibration, meta or predict (val)")
    add("--output", type=Path, metavar="FILE", help="the archive to write (embeddings_<split>.npz in the run)")
    examples = "trusted_packages=[mypackage] for a run with classes of your own; paths.cache=... for other places"
    add("--setting", action="append", default=[], metavar="KEY=VALUE", help=examples)


def run(arguments: argparse.Namespace) -> int:
    """Embed the rows of a split, and say where they are.

    Raises:
        SettingError: the test split, a model that embeds nothing, or an output that cannot be written.
        ValueError: no finished run, its data is not what it was made on, or a setting without effect.
    """
    import numpy as np

    from hallmark.checks import SettingError, require
    from hallmark.engine.config.trust import Trust
    from hallmark.engine.finished import FinishedRun
    from hallmark.engine.launch import composed_for_result
    from hallmark.learning.embeddings import Embedder, embedded
    from hallmark.runs.metrics import MAIN, TEST
    from hallmark.runs.run import open_run
    from hallmark.storage.destinations import check_file
    from hallmark.storage.files import atomic_path

    sealed = "another split: the test rows are sealed, and only evaluate.py run=... split=test reads them, once"
    require(arguments.split != TEST, "--split", TEST, sealed)
    finished = open_run(_run_of(arguments.run))
    output = arguments.output or finished.directory / f"embeddings_{arguments.split}.npz"
    check_file("--output", output, suffixes=(".npz",))
    trust = Trust.of(composed_for_result(arguments.run, arguments.setting))
    source = FinishedRun(finished, folds=0, trust=trust)
    data, module = source.load()
    if not isinstance(module, Embedder):
        raise SettingError("RUN", str(arguments.run), f"a model with embeddings; {type(module).__name__} has none")
    rows = data.rows(arguments.split)
    embeddings, labels = embedded(module, data.eval_dataloader(arguments.split))
    class_to_idx = json.dumps({name: number for number, name in enumerate(data.classes.get(MAIN, []))})
    ids = rows["id"].to_numpy(dtype=str)
    with atomic_path(output) as temporary, temporary.open("wb") as file:
        np.savez(file, ids=ids, labels=labels, class_to_idx=np.array(class_to_idx), embeddings=embeddings)
    print(f"{output}: {len(ids)} rows of {arguments.split}, {embeddings.shape[1]} numbers each")
    return 0


def _run_of(path: Path) -> Path:
    """The directory of the run that `path` is of, where it is a checkpoint."""
    return path.parent.parent if path.name == "best.ckpt" else path
