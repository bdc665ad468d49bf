import io
import pickle
import tempfile
import traceback
from fractions import Fraction
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from hallmark.learning.encoders.weights import (
    MissingWeightsError,
    load_exactly,
    local_path,
    published,
    read_state_dict,
    safe_load,
    trained_on,
)


def saved(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


class Intruder:
    """Writes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.target), "w")


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("pack", [saved, pickle.dumps, lambda value: pickle.dumps(value, protocol=2)])
def test_a_foreign_pickle_is_refused_and_not_run(tmp_path: Path, pack) -> None:
    target, path = tmp_path / "written", tmp_path / "model.pt"
    path.write_bytes(pack({"state_dict": {"weight": torch.zeros(2)}, "hook": Intruder(target)}))
    with pytest.raises(ValueError, match="refused, because it holds pickled objects other than tensors") as caught:
        safe_load(path)
    assert str(path) in str(caught.value) and "can run any code" in str(caught.value)
    assert not target.exists()
    pickle.loads(pickle.dumps(Intruder(target)))
    assert target.exists(), "the intruder would have worked"


def test_the_refusal_names_the_class_and_gives_no_advice_to_load_it_unsafely(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(saved(nn.Linear(2, 2)))
    with pytest.raises(ValueError, match=r"refused.*torch\.nn\.modules\.linear\.Linear\)$") as caught:
        safe_load(tmp_path / "model.pt")
    assert "weights_only" not in str(caught.value)


class Built:
    """Asks the unpickler for what it does not build."""

    def __init__(self, *reduced: Any) -> None:
        self.reduced = reduced

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


FOREIGN = {
    "a blocked module": (b"\x80\x02cos\nsystem\nq\x00.", r"GLOBAL os\.system whose module os is blocked\.\)$"),
    "a class": (saved(Built(Fraction, (1, 2))), r"Unsupported global: GLOBAL fractions\.Fraction\)$"),
    "a new object": (
        b"\x80\x02K\x01)\x81.",
        r"Can only create new object for nn\.Parameter but got",
    ),
    "a builtin": (b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.", r"GLOBAL \S*eval"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("raw", "finding"), FOREIGN.values(), ids=FOREIGN)
def test_no_part_of_a_refusal_says_how_to_load_the_file_unsafely(tmp_path: Path, raw: bytes, finding: str) -> None:
    (tmp_path / "model.pt").write_bytes(raw)
    with pytest.raises(ValueError, match=finding) as caught:
        safe_load(tmp_path / "model.pt")
    printed = "".join(traceback.format_exception(caught.value)).split("safe_load(", 1)[1]  # as records keep it
    text = printed[printed.index("UserError: ") :]
    assert not any(word in text for word in ("weights_only", "add_safe_globals", "torch.load", "trust", "options"))
    assert "UnpicklingError" not in printed
    with pytest.raises(ValueError, match="refused") as caught, published("some/model"):
        torch.load(tmp_path / "model.pt", weights_only=True)
    assert "some/model" in str(caught.value) and "weights_only" not in str(caught.value)


def test_a_checkpoint_that_unpacks_to_more_than_itself_is_refused_unread(tmp_path: Path, monkeypatch) -> None:
    with ZipFile(tmp_path / "model.pt", "w", ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(1 << 20))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ValueError, match=r"refused, because it unpacks to 1,048,576 bytes"):
        safe_load(tmp_path / "model.pt")


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_program_is_refused_not_called_damaged(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "ViT-B-32.pt")
    with pytest.raises(ValueError, match=r"refused.*TorchScript"):
        safe_load(tmp_path / "ViT-B-32.pt")


TENSORS = {"a": torch.arange(500.0), "b": torch.ones(3, dtype=torch.int64)}
FORMATS = {"zip": saved(TENSORS), "legacy": saved(TENSORS, _use_new_zipfile_serialization=False)}


@pytest.mark.parametrize(
    "raw",
    [
        FORMATS["zip"][:700], FORMATS["legacy"][:-100], b"", b"<html>404 Not Found</html>",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n", b"\x00" * 64,
    ],
    ids=["cut", "cut legacy", "empty", "web page", "lfs pointer", "zeros"],
)  # fmt: skip
def test_a_damaged_checkpoint_is_called_damaged(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "model.pt").write_bytes(raw)
    with pytest.raises(ValueError, match=r"model\.pt: damaged checkpoint \("):
        safe_load(tmp_path / "model.pt")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(FORMATS)), st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, 255)), max_size=6))
def test_any_damage_is_a_value_error_that_names_the_file(kind: str, edits: list[tuple[int, int]]) -> None:
    raw = bytearray(FORMATS[kind])
    for position, value in edits:
        raw[position % len(raw)] = value
    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        Path(file.name).write_bytes(raw)
        try:
            safe_load(Path(file.name))
        except ValueError as error:
            assert str(error).startswith(file.name)


@pytest.mark.parametrize("kind", FORMATS)
def test_plain_checkpoints_load(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.pt").write_bytes(FORMATS[kind])
    assert torch.equal(safe_load(tmp_path / "a.pt")["a"], TENSORS["a"])


def test_a_missing_checkpoint_is_missing_not_damaged(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        safe_load(tmp_path / "none.pt")


def test_state_dicts_of_every_packing_come_in_float32(tmp_path: Path) -> None:
    half = {"w": torch.tensor([0.5, 0.25]).half(), "steps": torch.tensor([3])}
    save_file(half, tmp_path / "a.safetensors")
    torch.save(half, tmp_path / "b.pt")
    torch.save({"state_dict": half, "epoch": 4}, tmp_path / "c.ckpt")
    for name in ("a.safetensors", "b.pt", "c.ckpt"):
        state = read_state_dict(tmp_path / name)
        assert state["w"].dtype == torch.float32 and state["w"].tolist() == [0.5, 0.25]
        assert state["steps"].dtype == torch.int64 and state.keys() == {"w", "steps"}


@pytest.mark.parametrize("value", [[1, 2], {"epoch": 3, "model": {"w": torch.zeros(1)}}, {}, torch.zeros(2)])
def test_a_file_without_a_state_dict_says_what_was_expected(tmp_path: Path, value: Any) -> None:
    torch.save(value, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt: not a state dict; expected tensors by name"):
        read_state_dict(tmp_path / "a.pt")


def test_damaged_safetensors_are_named(tmp_path: Path) -> None:
    save_file({"w": torch.zeros(100)}, tmp_path / "a.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    for raw in (content[:200], b"", b"<html>"):
        (tmp_path / "a.safetensors").write_bytes(raw)
        with pytest.raises(ValueError, match=r"a\.safetensors: damaged weights file"):
            read_state_dict(tmp_path / "a.safetensors")


def test_load_exactly_wants_every_tensor_with_its_shape() -> None:
    layer, path = nn.Linear(2, 2), Path("w.pt")
    state = {"weight": torch.ones(2, 2), "bias": torch.ones(2)}
    load_exactly(layer.load_state_dict, state | {"fc.weight": torch.ones(1)}, path, ignore=("fc.",))
    assert layer.weight.detach().eq(1).all()
    for wrong in ({"bias": state["bias"]}, state | {"extra": torch.ones(1)}, state | {"bias": torch.ones(3)}):
        with pytest.raises(ValueError, match=r"w\.pt: weights do not fit this architecture: (?s:.*)(bias|weight|ext)"):
            load_exactly(layer.load_state_dict, wrong, path)


def test_missing_weights_give_three_ways_out() -> None:
    with pytest.raises(MissingWeightsError) as caught, published("timm model resnet50"):
        raise OSError("offline")
    message = str(caught.value)
    assert message.startswith("timm model resnet50: weights not found (offline)")
    for way in ("run once with network access", "give a local file or folder", "profile=sample"):
        assert way in message


def test_local_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("here.pt").touch()
    Path("folder").mkdir()
    assert local_path("here.pt") == Path("here.pt") and local_path("folder") == Path("folder")
    assert local_path("openai") is None and local_path("org/model") is None
    for name in ("gone.pt", "./gone", "/gone/model", "~/gone", "gone.safetensors", "package:hallmark/gone"):
        with pytest.raises(MissingWeightsError, match="no such file or folder"):
            local_path(name)
    assert local_path("package:hallmark/checks.py").name == "checks.py"  # type: ignore[union-attr]
    with pytest.raises(MissingWeightsError, match="pip install no-such-package"):
        local_path("package:no_such_package/x")


def test_weights_say_what_generated_data_they_know(tmp_path: Path) -> None:
    assets = {"refseg/assets/small_sam.safetensors": "refseg", "refseg/assets/dual_encoder.safetensors": "refseg",
              "sentiment/assets/tiny_clip": "sentiment"}  # fmt: skip
    for name, system in assets.items():
        assert trained_on(local_path(f"package:hallmark/systems/{name}")) == f"the generated sample of {system}"
    plain, tagged = tmp_path / "plain.safetensors", tmp_path / "told" / "model.safetensors"
    tagged.parent.mkdir()
    save_file({"a": torch.zeros(1)}, plain)
    save_file({"a": torch.zeros(1)}, tagged, {"trained_on": "a world"})
    assert [trained_on(path) for path in (plain, tagged, tagged.parent, tmp_path, None)] == [
        None, "a world", "a world", None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ('{"data": {"generated": "a world"}}', "a world"),
        ('{"data": {}}', None),
        ("{}", None),
        ("[]", None),
        ("{", None),
        (None, None),
    ],
)
def test_a_checkpoint_of_a_run_knows_what_its_record_says(tmp_path: Path, record: str | None, expected) -> None:
    checkpoint = tmp_path / "checkpoints" / "best.ckpt"
    checkpoint.parent.mkdir()
    checkpoint.write_bytes(b"")
    if record is not None:
        (tmp_path / "record.json").write_text(record)
    assert trained_on(checkpoint) == expected


def test_a_package_is_not_imported_for_a_file_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "weightspackage"
    (folder / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py"):
        (folder / name).write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\n")
    (folder / "w.pt").write_text("x")
    monkeypatch.syspath_prepend(tmp_path)
    assert local_path("package:weightspackage/w.pt") == folder / "w.pt"
    for name in ("package:weightspackage.inner/w.pt", "package:nowhere/w.pt", "package:os/w.pt", "package:/etc/passwd"):
        with pytest.raises(MissingWeightsError):
            local_path(name)
    for name in ("package:weightspackage/../w.pt", "package:weightspackage//etc/passwd"):
        with pytest.raises(ValueError, match="inside of the package"):
            local_path(name)
    assert not (tmp_path / "mark").exists()
