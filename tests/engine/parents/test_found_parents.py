"""Parents are known by what they are, and are read-only; what is none is refused."""

import shutil

import pytest
import torch
from tests.engine.student import DIGITS, STUDENT

from hallmark.checks import SettingError, UserError
from hallmark.engine.cached.done import report_noted
from hallmark.engine.config.trust import NO_TRUST
from hallmark.engine.job import Job
from hallmark.engine.parents import initial_module
from hallmark.runs.configuration import load_plain
from hallmark.runs.record import RunState
from hallmark.runs.run import Run
from hallmark.runs.source_code import code_hashes
from hallmark.storage.files import read_json, write_json

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_report")]


def test_a_parent_is_known_by_what_it_is_and_not_by_its_path(parent, job, tmp_path, monkeypatch):
    monkeypatch.chdir(parent.directory.parent)
    (tmp_path / "link").symlink_to(parent.directory)
    spellings = [parent.directory, f"../{parent.directory.parent.name}/{parent.directory.name}/", tmp_path / "link"]
    ids = {job(f"init_from={spelling}").id for spelling in [*spellings, "latest", "."]}
    ids |= {job(f"+parents.init_from={parent.directory}").id}
    shutil.move(parent.directory, tmp_path / "renamed")
    assert ids == {job(f"init_from={tmp_path / 'renamed'}").id}
    assert ids != {job().id}


def test_another_model_at_the_path_of_a_parent_makes_another_run(parent, fit, job):
    child = fit(*DIGITS, "name=child", f"init_from={parent.directory}")
    fit(*DIGITS, "seed=1", f"paths.run_dir={parent.directory}", "rerun=true")
    again = job(f"init_from={parent.directory}")
    assert again.id != child.record.run_id
    assert report_noted(again) is None and not again.directory.exists()
    with pytest.raises(ValueError, match=r"produced with a different configuration.*rerun=true"):
        fit(*DIGITS, "name=child", f"init_from={parent.directory}", f"paths.run_dir={child.directory}")


def test_parents_are_read_only_and_no_part_of_the_module(parent, job):
    student = initial_module(job(*STUDENT, f"+parents.teacher={parent.directory}"))
    teacher = student.parents["teacher"]
    saved = torch.load(parent.best, weights_only=True)["state_dict"]
    assert saved.keys() <= teacher.state_dict().keys()
    assert all(torch.equal(teacher.state_dict()[name], value) for name, value in saved.items())
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    trained = {id(parameter) for parameter in student.parameters()}
    assert not trained & {id(parameter) for parameter in teacher.parameters()}
    assert not any("teacher" in name or "parents" in name for name in student.state_dict())
    student.train()
    assert student.training and not teacher.training
    student.to(torch.float64)
    assert {parameter.dtype for parameter in teacher.parameters()} == {torch.float64}
    student.to("meta")
    assert teacher.device.type == "meta"


def test_weights_of_the_seed_do_not_depend_on_a_parent(parent, job):
    alone, student = initial_module(job()), initial_module(job(*STUDENT, f"+parents.teacher={parent.directory}"))
    first, second = alone.state_dict(), student.state_dict()
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_is_no_parent_of_its_own(parent, fit):
    overrides = (*DIGITS, f"init_from={parent.directory}", f"paths.run_dir={parent.directory}", "rerun=true")
    with pytest.raises(SettingError) as caught:
        fit(*overrides)
    assert caught.value.key == "init_from" and parent.best.is_file()


def test_roles_are_those_of_the_model(parent, fit):
    with pytest.raises(SettingError, match="did you mean teacher") as raised:
        fit(*STUDENT, f"+parents.techer={parent.directory}")
    assert raised.value.key == "parents.techer"
    with pytest.raises(SettingError) as raised:
        fit(*STUDENT)
    assert raised.value.key == "parents.teacher"
    with pytest.raises(SettingError) as raised:
        fit(*DIGITS, f"+parents.teacher={parent.directory}")
    assert raised.value.key == "parents.teacher"


def cut_off(parent: Run) -> None:
    parent.best.write_bytes(parent.best.read_bytes()[:-1000])


def failed(parent: Run) -> None:
    parent.record.state = RunState.FAILED
    parent.record.write(parent.directory)


def elsewhere(parent: Run) -> None:
    shutil.move(parent.best, parent.directory.parent / "best.ckpt")
    parent.best.symlink_to(parent.directory.parent / "best.ckpt")


def no_weights(parent: Run) -> None:
    parent.best.unlink()


@pytest.mark.parametrize("break_", [cut_off, failed, elsewhere, no_weights, lambda run: shutil.rmtree(run.directory)])
def test_what_is_no_parent_is_refused_and_leaves_nothing(parent, fit, run_of, break_):
    break_(parent)
    for overrides in ((f"init_from={parent.directory}",), (*STUDENT, f"+parents.teacher={parent.directory}")):
        with pytest.raises(SettingError) as raised:
            fit(*DIGITS, "name=child", *overrides)
        assert raised.value.key in ("init_from", "parents.teacher")
    assert not (parent.directory.parents[1] / "child").exists()


def test_a_damaged_checkpoint_of_an_earlier_version_is_refused(parent, fit):
    parent.record.weights = None
    parent.record.write(parent.directory)
    cut_off(parent)
    with pytest.raises(UserError, match="damaged"):
        fit(*DIGITS, "name=child", f"init_from={parent.directory}")


def test_a_parent_of_an_earlier_version_is_the_same_parent(parent, job):
    expected = job(f"init_from={parent.directory}").id
    parent.record.weights = None
    parent.record.write(parent.directory)
    assert job(f"init_from={parent.directory}").id == expected


def test_a_cache_within_a_run_says_nothing_of_the_code(parent):
    cache = parent.directory / "cache" / "source_code.json"
    expected = code_hashes(load_plain(parent.directory / "config.yaml"), cache)
    write_json(cache, {key: ["forged", imports] for key, (_, imports) in read_json(cache).items()})
    assert "forged" in code_hashes(load_plain(parent.directory / "config.yaml"), cache).values()
    code = Job.reopened(parent, NO_TRUST).code
    assert "forged" not in code.values() and code.keys() == expected.keys()
