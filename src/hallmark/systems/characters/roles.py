"""The roles of a database of embeddings: which there are, and what changes them without looking at a picture."""

from hallmark.checks import UserError, require
from hallmark.storage.printing import shortened
from hallmark.storage.regular import is_class_name, stripped_name
from hallmark.storage.vectors import Change, VectorDatabase, Version

THRESHOLD = "threshold"
"""Of the state of a database: the version of which the threshold for unknown people is, and its roles and pictures."""

_LONGEST = 200  # characters of a name
_STALE = 0.05  # by which roles or pictures may have become more or fewer before the threshold is computed anew


class Roles:
    """The roles that `database` holds. Each change is one transaction and makes a version.

    Names are compared and kept as `stripped_name` gives them.
    """

    def __init__(self, database: VectorDatabase) -> None:
        self.database = database

    def roles(self) -> dict[str, int]:
        """Pictures of each role, by name."""
        return self.database.counts()

    def remove_role(self, name: str) -> Version:
        """Forget the role `name` with its pictures; raises UserError where there is none."""
        name = stripped_name(name)
        with self.database.change(f"removed {name}") as change:
            require_role(name, change)
            change.remove([name])
            mark_threshold(change)
        assert change.version is not None
        return change.version

    def rename_role(self, name: str, new_name: str) -> Version:
        """Call the role `name` by `new_name`.

        Raises:
            UserError: there is no such role, or one that has the new name.
        """
        name, new_name = stripped_name(name), role_name(new_name)
        with self.database.change(f"renamed {name} to {new_name}") as change:
            require_role(name, change)
            require_new(new_name, change)
            change.rename(name, new_name)
        assert change.version is not None
        return change.version

    def merge_roles(self, name: str, into: str) -> Version:
        """Give the pictures of the role `name` to the role `into`; raises UserError unless there are both."""
        name, into = stripped_name(name), stripped_name(into)
        require(name != into, "into", into, "another role")
        with self.database.change(f"merged {name} into {into}") as change:
            for role in (name, into):
                require_role(role, change)
            change.rename(name, into)
            mark_threshold(change)
        assert change.version is not None
        return change.version

    def versions(self) -> list[Version]:
        """All versions of the database, oldest first."""
        return self.database.versions()

    def revert(self, number: int) -> Version:
        """Go back to version `number`, by a new version that holds the same."""
        return self.database.revert(number)


def role_name(name: str) -> str:
    """`name` as it is kept; raises SettingError unless a role can have it."""
    role = stripped_name(name) if isinstance(name, str) else ""
    valid = is_class_name(role) and len(role) <= _LONGEST
    require(valid, "name", name, f"up to {_LONGEST} characters that the name of a folder may have")
    return role


def require_role(name: str, change: Change) -> None:
    """Raise UserError unless there is a role `name`."""
    if not change.has(name):
        raise UserError(f"{shortened(name)}: there is no such role; there are {', '.join(change.labels(10)) or 'none'}")


def require_new(name: str, change: Change) -> None:
    """Raise UserError if there is a role `name`."""
    if change.has(name):
        raise UserError(f"{shortened(name)}: there is a role of this name already; update adds pictures to it")


def mark_threshold(change: Change) -> None:
    """Let the threshold be of this version, if it has a twentieth more or fewer roles or pictures than the last."""
    counts = {"roles": change.n_classes, "pictures": change.n_samples}
    last = change.state.get(THRESHOLD)
    if last is None or any(abs(count - last[name]) >= _STALE * last[name] for name, count in counts.items()):
        change.state = {**change.state, THRESHOLD: {"version": change.number, **counts}}
