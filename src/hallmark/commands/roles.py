"""Learn characters from a few pictures, and say who is in one.

DATABASE holds the embeddings of the pictures of each role; the first `add` makes it. MODEL is the run of
characters_classifier that embeds pictures, its checkpoint, what `OnlineLearningSystem.save_model` has written, or a
state dict of a timm model; a database belongs to one model, one method and its settings.
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hallmark.storage.vectors import Version
    from hallmark.systems.characters.answers import Recognition
    from hallmark.systems.characters.online import OnlineLearningSystem


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("database", metavar="DATABASE", type=Path)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, line in (("add", "learn a new role"), ("update", "add pictures to a role")):
        adding = actions.add_parser(action, help=line)
        adding.add_argument("name", metavar="NAME")
        adding.add_argument("images", nargs="+", metavar="PICTURE", type=Path)
    recognizing = actions.add_parser("recognize", help="say who is in pictures")
    recognizing.add_argument("images", nargs="+", metavar="PICTURE", type=Path)
    recognizing.add_argument("--json", action="store_true", help="print one JSON list instead of a table")
    actions.add_parser("refit", help="take the covariance of all pictures, where it is kept")
    for action in ("add", "update", "recognize", "refit"):
        actions.choices[action].add_argument("--model", required=True, metavar="MODEL", type=Path)
        actions.choices[action].add_argument(
            "--architecture", metavar="NAME", help="timm's name, of a plain state dict"
        )
    making = actions.choices["add"].add_argument_group("of a database that is made")
    making.add_argument("--method", help="cosine (default), lda, ncm or ranpac")
    making.add_argument("--shrinkage", type=float, metavar="S")
    making.add_argument("--features", type=int, metavar="M", help="of ranpac")
    making.add_argument("--keep-covariance", dest="update_covariance", action="store_const", const=False)
    making.add_argument("--false-accept-rate", type=float, metavar="SHARE")
    actions.add_parser("list", help="roles and how many pictures they have")
    actions.add_parser("remove", help="forget a role").add_argument("name", metavar="NAME")
    renaming = actions.add_parser("rename", help="call a role by another name")
    renaming.add_argument("name", metavar="NAME")
    renaming.add_argument("new_name", metavar="NEW")
    merging = actions.add_parser("merge", help="give the pictures of a role to another one")
    merging.add_argument("name", metavar="NAME")
    merging.add_argument("into", metavar="OTHER")
    actions.add_parser("versions", help="every change, oldest first")
    going_back = actions.add_parser("revert", help="go back to a version, by a new one that holds the same")
    going_back.add_argument("version", metavar="N", type=int)


def run(arguments: argparse.Namespace) -> int:
    """Do one action, and print what came of it.

    Raises:
        ValueError: no such database, model, role or version, or pictures that cannot be added; nothing is changed.
    """
    if arguments.action in ("add", "update", "recognize", "refit"):
        return _with_pictures(arguments)

    import pandas as pd

    from hallmark.analysis.presentation import show
    from hallmark.storage.vectors import VectorDatabase
    from hallmark.systems.characters.roles import Roles

    roles = Roles(VectorDatabase(arguments.database))
    if arguments.action == "list":
        show(str(arguments.database), pd.DataFrame(list(roles.roles().items()), columns=["role", "pictures"]))
    elif arguments.action == "versions":
        rows = [(each.number, each.note, each.classes, each.samples, each.digest[:8]) for each in roles.versions()]
        columns = ["version", "change", "roles", "pictures", "content"]
        show(str(arguments.database), pd.DataFrame(rows, columns=columns))
    elif arguments.action == "remove":
        _say(roles.remove_role(arguments.name))
    elif arguments.action == "rename":
        _say(roles.rename_role(arguments.name, arguments.new_name))
    elif arguments.action == "merge":
        _say(roles.merge_roles(arguments.name, arguments.into))
    else:
        _say(roles.revert(arguments.version))
    return 0


def _with_pictures(arguments: argparse.Namespace) -> int:
    from hallmark.checks import UserError
    from hallmark.engine.messages import echo
    from hallmark.runs.run import open_run
    from hallmark.storage.vectors import VectorDatabase
    from hallmark.systems.characters.online import SETTINGS, OnlineLearningSystem  # torch loads here, not for --help

    is_there = arguments.database.exists()
    if arguments.action != "add" and not is_there:
        raise UserError(f"{arguments.database}: there is no database of vectors; `add` makes one")
    model = arguments.model if arguments.model.is_file() else open_run(arguments.model).directory
    about = VectorDatabase(arguments.database).about if is_there else {}
    typed = {name: value for name in SETTINGS if (value := getattr(arguments, name, None)) is not None}
    settings = {name: about[name] for name in SETTINGS if name in about} | typed
    system = OnlineLearningSystem(model, arguments.database, architecture=arguments.architecture, **settings)
    if arguments.action == "recognize":
        return _recognize(system, arguments.images, as_json=arguments.json)
    if arguments.action == "refit":
        _say(system.refit_covariance())
        return 0
    act = system.add_new_role if arguments.action == "add" else system.update
    added = act(arguments.name, arguments.images)
    for sentence in added.warnings:
        echo(f"warning: {sentence}")
    _say(added.version)
    return 0


def _recognize(system: "OnlineLearningSystem", images: list[Path], *, as_json: bool) -> int:
    import pandas as pd

    from hallmark.analysis.presentation import show

    answers = [(str(image), system.recognize(image)) for image in images]
    if as_json:
        print(json.dumps([_record(image, answer) for image, answer in answers], indent=2, ensure_ascii=False))
        return 0
    rows = [
        {
            "picture": image, "answer": answer.name or "unknown", "score": answer.score, "best": answer.best[0],
            "runner-up": answer.runner_up[0] if answer.runner_up else "",
        }
        for image, answer in answers
    ]  # fmt: skip
    threshold = answers[0][1].threshold
    note = f"a score under {threshold:.4g} is unknown" if threshold is not None else "unknown needs three roles"
    show(str(system.database.path), pd.DataFrame(rows), notes=[note])
    return 0


def _record(image: str, answer: "Recognition") -> dict[str, Any]:
    nearest = [{"role": role, "content": content, "cosine": cosine} for role, content, cosine in answer.nearest]
    return {
        "picture": image, "name": answer.name, "score": answer.score, "threshold": answer.threshold,
        "best": answer.best, "runner_up": answer.runner_up, "nearest": nearest,
    }  # fmt: skip


def _say(version: "Version") -> None:
    print(f"version {version.number}: {version.note}")
