"""What ends a command early: a setting that is not right, or a request to stop."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Interrupted(BaseException):
    """The run was asked to stop and has saved a checkpoint to go on from.

    Not an `Exception`, as `KeyboardInterrupt` is none: what goes on after a failure, such as Hydra's grids,
    must not go on after this.
    """


class Portable(Exception):
    """An exception that other processes can hand back, whatever its constructor takes."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _brought_back, (type(self), self.args, vars(self))


def _brought_back(kind: type[Portable], args: tuple[Any, ...], attributes: dict[str, Any]) -> Portable:
    error = kind.__new__(kind, *args)
    vars(error).update(attributes)
    return error


class UserError(ValueError):
    """What a user did, or a file that they gave.

    A sentence answers it wherever it is raised. A plain ValueError is one of code within a fit and a prediction.
    """


class SettingError(Portable, UserError):
    """A value that the user can change.

    `key` is relative to the object that rejects it; `under` prefixes the config path of that object
    while the error rises, so that the user reads the key as they would type it.
    """

    def __init__(self, key: str, value: Any, expected: str) -> None:
        super().__init__(f"{key}={value!r}: expected {expected}")
        self.key, self.value, self.expected = key, value, expected

    def under(self, prefix: str) -> "SettingError":
        return SettingError(f"{prefix}.{self.key}" if prefix else self.key, self.value, self.expected)


def require(condition: bool, key: str, value: Any, expected: str) -> None:
    """Raise `SettingError` unless `condition` holds."""
    if not condition:
        raise SettingError(key, value, expected)


def check_type(hint: Any, key: str, value: Any) -> None:
    """Raise `SettingError` unless the plain `value` is of the annotation `hint`; what pydantic does not know passes."""
    from pydantic import ConfigDict, TypeAdapter, ValidationError  # not on the configuration path
    from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
    from pydantic_core import SchemaError

    try:
        adapter = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except (PydanticSchemaGenerationError, SchemaError):  # the latter for a protocol
        return
    except PydanticUserError:  # the hint is a model or dataclass with its own configuration
        adapter = TypeAdapter(hint)
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        expected = {str(detail["msg"]).removeprefix("Input should be ") for detail in error.errors()}
        raise SettingError(key, value, " or ".join(sorted(expected))) from error


@contextmanager
def setting(prefix: str) -> Iterator[None]:
    """Name the config node whose object is being built."""
    try:
        yield
    except SettingError as error:
        raise error.under(prefix) from error
