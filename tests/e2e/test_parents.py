"""A run whose parent is a preset: one command from nothing, killed within the parent, and typed again."""

import signal
import time

import pytest

from hallmark.learning.callbacks.checkpoints import checkpoint_hashes
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e

PARENT = "{experiment: digits_classifier, overrides: ['trainer.max_epochs=12','callbacks.early_stopping=null']}"
CHILD = [
    "experiment=digits_classifier", "name=child", "trainer.max_epochs=1", "callbacks.progress=null",
    f"+parents.init_from={PARENT}",
]  # fmt: skip


def test_a_command_that_was_killed_in_a_parent_goes_on_there(start, command, tmp_path):
    killed = tmp_path / "killed"
    process = start("train.py", *CHILD, outputs=killed)
    while not list(killed.glob("digits_classifier/*/checkpoints/last.ckpt")):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(killed.glob("child/*/record.json"))
    printed = command("train.py", *CHILD, outputs=killed)
    assert printed.startswith("1 parent to be fitted first (digits_classifier/")
    command("train.py", *CHILD, outputs=tmp_path / "undisturbed")
    hashes = []
    for outputs in (killed, tmp_path / "undisturbed"):
        (parent,), (child,) = (list(outputs.glob(f"{name}/*/record.json")) for name in ("digits_classifier", "child"))
        hashes.append([checkpoint_hashes(Run(record.parent).best)["tensors"] for record in (parent, child)])
    assert hashes[0] == hashes[1]
    (parent,) = killed.glob("digits_classifier/*/record.json")
    assert Run(parent.parent).record.resumed == 1
    assert "is done (rerun=true would replace it)" in command("train.py", *CHILD, outputs=killed)


TWO = """# @package _global_
defaults: [digits_classifier]
name: digits_${model.width}
paths: {run_dir: "FOLDER/${model.width}"}
hydra: {mode: MULTIRUN, sweeper: {params: {model.width: "4,8"}}}
"""


def test_a_preset_of_two_runs_at_fixed_places_makes_both_and_each_is_found_by_its_own_name(command, tmp_path):
    presets = tmp_path / "conf" / "experiment"
    presets.mkdir(parents=True)
    (presets / "two.yaml").write_text(TWO.replace("FOLDER", str(tmp_path / "output" / "two")))
    typed = ["data.classes=['0','1']", "trainer.max_epochs=1", "callbacks.progress=null"]
    two = ["experiment=two", *typed, "--config-dir", str(tmp_path / "conf")]
    command("train.py", *two, outputs=tmp_path / "outputs")
    runs = {width: Run(tmp_path / "output" / "two" / width) for width in ("4", "8")}
    assert {run.record.name for run in runs.values()} == {"digits_4", "digits_8"}
    printed = command("train.py", *two, outputs=tmp_path / "outputs")
    assert printed.count("is done (rerun=true would replace it)") == 2
    alone = ["experiment=digits_classifier", "name=digits_4", "model.width=4", *typed]
    printed = command("train.py", *alone, outputs=tmp_path / "outputs")
    assert f"{runs['4'].directory} is done" in printed
