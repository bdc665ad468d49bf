"""Hydra's launchers: what a grid is handed to, and what is said where a launcher is not installed."""

import re
import subprocess
import sys
from importlib.util import find_spec

import hydra
import pytest
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

TFIDF = "experiment=sentiment_tfidf"


@pytest.fixture
def launcher_node(project):
    """A function from overrides to the node `hydra.launcher`, resolved, with the folder that jobs write to."""

    def launcher_node(*overrides: str) -> DictConfig:
        with hydra.initialize_config_dir(str(project / "conf"), version_base="1.3"):
            config = hydra.compose("train", [TFIDF, *overrides], return_hydra_config=True)
        config.hydra.job.name = "train"
        OmegaConf.resolve(config.hydra.launcher)
        return config.hydra.launcher

    return launcher_node


def installed(module: str) -> None:
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed; it comes with an extra")


def test_slurm_composes_and_its_files_lie_below_the_outputs(launcher_node, tmp_path):
    installed("hydra_plugins.hydra_submitit_launcher")
    node = launcher_node("hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.gpus_per_node=2")
    assert (node.partition, node.gpus_per_node, node.tasks_per_node, node.name) == ("gpu", 2, 1, "train")
    assert node.submitit_folder == str(tmp_path / "outputs" / "multirun" / ".submitit" / "%j")
    assert isinstance(instantiated(node), Launcher)


def instantiated(node: DictConfig) -> Launcher:
    config = OmegaConf.create({"hydra": {"launcher": node}})
    return Plugins.instance().instantiate_launcher(
        hydra_context=HydraContext(config_loader=None, callbacks=None), task_function=lambda _: None, config=config
    )


def test_a_launcher_that_is_not_installed_names_its_extra(project):
    command = [sys.executable, "train.py", "-m", TFIDF, "hydra/launcher=submitit_nowhere"]
    ended = subprocess.run(command, cwd=project, capture_output=True, text=True)
    assert ended.returncode == 2
    wanted = "hydra/launcher=submitit_nowhere: not installed; pip install 'hallmark-experiments[slurm]'"
    assert re.search(rf"^error: {re.escape(wanted)}$", ended.stderr, re.MULTILINE), ended.stderr
