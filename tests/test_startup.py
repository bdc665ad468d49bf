"""What answers before any data is read loads none of the heavy packages, whose import takes seconds."""

import subprocess
import sys

FIT = ("torch", "lightning", "scipy", "sklearn", "matplotlib", "transformers", "optuna")
HEAVY = (*FIT, "pandas")


def test_the_configuration_path_loads_no_heavy_package():
    code = f"import sys, hallmark.engine.launch; print([name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_finished_run_is_found_done_without_what_a_fit_needs():
    code = f"import sys, hallmark.engine.repeats; print([name for name in {FIT} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
