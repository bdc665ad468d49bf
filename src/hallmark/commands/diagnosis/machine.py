"""Devices, determinism, keys and git."""

import os
import shutil
import subprocess
from pathlib import Path

from hallmark.commands.diagnosis.finding import Findings, ok, warning
from hallmark.runs.identity import git_state

_KEYS = {
    "WANDB_API_KEY": "logger=wandb stays offline",
    "OPENAI_API_KEY": "no hosted model is called",
    "HF_TOKEN": "only public weights are downloaded",
}
_CACHES = ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME")
_DETERMINISTIC_CUBLAS = (":4096:8", ":16:8")
_REDUCED_PRECISION = ("NVIDIA_TF32_OVERRIDE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE")


def devices() -> Findings:
    import torch

    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    n_cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    yield ok(f"CPU: {torch.get_num_threads()} threads for torch, {n_cores} cores to use")
    driver = _cuda_driver()
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count()))
        yield ok(f"CUDA {torch.version.cuda}: {names}, driver {driver or 'unknown'}")
    elif driver:
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        yield warning(f"driver {driver} is there, but torch {torch.__version__} ({built}) cannot use it; update either")
    else:
        yield ok("CUDA: none; runs use the CPU")
    if torch.backends.mps.is_available():
        yield ok("MPS: available")


def determinism() -> Findings:
    """Settings of the environment that make the same command give other numbers."""
    cublas = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    reduced = [name for name in _REDUCED_PRECISION if os.environ.get(name) == "1"]
    if cublas is not None and cublas not in _DETERMINISTIC_CUBLAS:
        wanted = " or ".join(_DETERMINISTIC_CUBLAS)
        yield warning(f"CUBLAS_WORKSPACE_CONFIG={cublas} is not deterministic: unset it, or set {wanted}")
    for name in reduced:
        yield warning(f"{name}=1 lowers the precision of matrix products on a GPU: unset it")
    if not reduced and cublas in (None, *_DETERMINISTIC_CUBLAS):
        yield ok("nothing in the environment contradicts trainer.deterministic=true")


def hub_caches() -> Findings:
    """Folders that the environment names for downloaded weights."""
    missing = [
        (name, folder)
        for name in _CACHES
        if (folder := os.environ.get(name)) and not Path(folder).expanduser().is_dir()
    ]
    for name, folder in missing:
        yield warning(f"{name}={folder}: no such folder; create it, or unset {name}")
    if not missing:
        yield ok("the environment names no folder that is missing")


def keys() -> Findings:
    """Keys by name only: no value is ever shown."""
    for name, without in _KEYS.items():
        yield ok(f"{name}: present" if os.environ.get(name) else f"{name}: absent; {without}")


def git() -> Findings:
    if not shutil.which("git"):
        yield warning("git not found; runs cannot name their commit and `hallmark release` refuses: install git")
        return
    state = git_state()
    if state["commit"] is None:
        yield warning("not in a git repository with a commit; `hallmark release` needs one: git init, git commit")
    elif state["dirty"]:
        yield warning(f"commit {state['commit'][:8]}, with changes; `hallmark release` needs a clean tree: git commit")
    else:
        yield ok(f"commit {state['commit'][:8]}, clean")


def _cuda_driver() -> str | None:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    return printed.split("\n")[0].strip() or None
