"""The roles of a database of embeddings: which there are, and what changes them without looking at a picture."""

from collections import Counter

from hallmark.checks import UserError, require
from hallmark.storage.printing import shortened
from hallmark.storage.regular import is_class_name
from hallmark.storage.vectors import Content, VectorDatabase, Version

_LONGEST = 200  # characters of a name


class Roles:
    """The roles that `database` holds. Each change is one transaction and makes a version."""

    def __init__(self, database: VectorDatabase) -> None:
        self.database = database

    def roles(self) -> dict[str, int]:
        """Pictures of each role, by name."""
        return dict(sorted(Counter(self.database.read().labels).items()))

    def remove_role(self, name: str) -> Version:
        """Forget the role `name` with its pictures; raises UserError where there is none."""
        with self.database.change(f"removed {name}") as change:
            require_role(name, change.content)
            change.remove([name])
        assert change.version is not None
        return change.version

    def rename_role(self, name: str, new_name: str) -> Version:
        """Call the role `name` by `new_name`.

        Raises:
            UserError: there is no such role, or one that has the new name.
        """
        check_role_name(new_name)
        with self.database.change(f"renamed {name} to {new_name}") as change:
            require_role(name, change.content)
            require_new(new_name, change.content)
            change.rename(name, new_name)
        assert change.version is not None
        return change.version

    def versions(self) -> list[Version]:
        """All versions of the database, oldest first."""
        return self.database.versions()

    def revert(self, number: int) -> Version:
        """Go back to version `number`, by a new version that holds the same."""
        return self.database.revert(number)


def check_role_name(name: str) -> None:
    """Raise SettingError unless a role can have this name."""
    valid = is_class_name(name) and len(name) <= _LONGEST
    require(valid, "name", name, f"up to {_LONGEST} characters that the name of a folder may have")


def require_role(name: str, content: Content) -> None:
    """Raise UserError unless there is a role `name`."""
    if name not in content.labels:
        held = ", ".join(sorted(set(content.labels))[:10]) or "none"
        raise UserError(f"{shortened(name)}: there is no such role; there are {held}")


def require_new(name: str, content: Content) -> None:
    """Raise UserError if there is a role `name`."""
    if name in content.labels:
        raise UserError(f"{shortened(name)}: there is a role of this name already; update adds pictures to it")
