"""Measuring the closed loop as a user starts it: killed and gone on with, offline, on own pictures, without leaks."""

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from pytest_httpserver import HTTPServer
from tests.systems.refseg.parts import RED, Picture, preset, write_world
from tests.systems.refseg.vlm.conftest import SENTINEL, VARIABLE, Endpoint, reply
from tests.systems.refseg.vlm.test_whole_run import asked

from hallmark.engine.evaluate import evaluate
from hallmark.runs.predictions import read_predictions
from hallmark.runs.record import RunState
from hallmark.runs.run import Run

pytestmark = pytest.mark.e2e

IMAGES, SENTENCES = 8, 2
TIMED = ["info_seconds", "info_vlm_seconds"]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with HTTPServer(host="127.0.0.1", threaded=True) as server:
        endpoint = Endpoint(server)
        yield endpoint
        endpoint.over.set()


@pytest.fixture
def asking(endpoint, tmp_path, monkeypatch) -> list[str]:
    """Overrides of a run that asks the endpoint about every sentence, and keeps no answer but the run's own."""
    monkeypatch.setenv(VARIABLE, SENTINEL)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    endpoint.answer = lambda body: reply('{"query": "red"}', system_fingerprint=SENTINEL)
    pictures = [
        Picture(f"p{n}", "val", {f"crimson {n} {m}": RED for m in range(SENTENCES)}) for n in range(IMAGES)
    ]  # fmt: skip
    return [
        *preset("refseg_vlm", write_world(tmp_path / "world", pictures)), "analysis=[cost]", "data.batch_size=1",
        "model.max_iter=1", "model.temperature=1", "model.thresholds={_target_: "
        "hallmark.systems.refseg.loop.Thresholds, confidence: 1.0, gap: 1.0}", "statistics.n_resamples=100",
        f"model.rewriter.base_url={endpoint.base_url}", f"model.rewriter.key_variable={VARIABLE}",
        "model.rewriter.cache=null", "model.rewriter.bucket.per_second=1000", "data.leakage=report",
    ]  # fmt: skip


def only_run(outputs: Path) -> Run:
    (record,) = outputs.glob("*/*/record.json")
    return Run(record.parent)


def parts(outputs: Path) -> dict[str, int]:
    """Time of each part that is done; one that is being written has a hidden name."""
    return {str(path): path.stat().st_mtime_ns for path in outputs.glob("*/*/partial/[!.]*.json")}


def stopped(process: subprocess.Popen, outputs: Path, number: int, at: int) -> str:
    """Send `number` once `at` parts are there; gives what was printed."""
    while len(parts(outputs)) < at:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(number)
    return process.communicate(timeout=60)[0]


def table(run: Run) -> pd.DataFrame:
    return read_predictions(run.directory / "predictions" / "val.parquet").drop(columns=TIMED)


def test_killed_and_interrupted_it_goes_on_from_the_samples_that_are_done(
    start, command, endpoint, asking, blank_figures, tmp_path, compose, monkeypatch
):  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setenv("HALLMARK_OUTPUTS", str(tmp_path / "undisturbed"))
        evaluate(compose(*asking, command="evaluate"))
    assert endpoint.calls == IMAGES * SENTENCES
    endpoint.bodies.clear()
    at_once = endpoint.answer

    def slowly(body: dict):
        time.sleep(0.15)
        return at_once(body)

    endpoint.answer = slowly
    outputs = tmp_path / "killed"
    done: dict[str, int] = {}
    signals = [(signal.SIGKILL, "running", 2), (signal.SIGINT, "interrupted", 4)]
    for number, state, at in signals:
        process = start("evaluate.py", *asking, outputs=outputs)
        printed = stopped(process, outputs, number, at)
        assert process.returncode != 0, printed
        if number != signal.SIGKILL:
            assert process.returncode == 143 and f"{number.name}: stopped within a prediction" in printed
            assert "the same command goes on from there" in printed and "Traceback" not in printed
        assert only_run(outputs).record.state == state
        assert SENTINEL not in printed
        after = parts(outputs)
        assert {path: after[path] for path in done} == done
        done = after
    finished = {Path(path).stem for path in done}
    assert len(finished) >= 4
    before = Counter(asked(body) for body in endpoint.bodies)
    printed = command("evaluate.py", *asking, outputs=outputs)
    assert "refseg_vlm resumes: " in printed and SENTINEL not in printed
    assert endpoint.headers[-1]["Authorization"] == f"Bearer {SENTINEL}"
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in written if SENTINEL.encode() in path.read_bytes()] == []
    run, other = only_run(outputs), only_run(tmp_path / "undisturbed")
    assert run.record.state is RunState.DONE and run.record.resumed == len(signals)
    asked_now = Counter(asked(body) for body in endpoint.bodies) - before
    assert len(asked_now) == SENTENCES * (IMAGES - len(finished)) and set(asked_now.values()) == {1}
    repeated = Counter(asked(body) for body in endpoint.bodies)
    # Each stop costs the picture that was on its way, and no other is asked about twice.
    assert sum(repeated.values()) <= SENTENCES * (IMAGES + len(signals)) and len(repeated) == SENTENCES * IMAGES
    pd.testing.assert_frame_equal(table(run), table(other), check_exact=True)
    assert run.metrics == other.metrics
    cost, undisturbed = (json.loads((result.directory / "cost" / "val.json").read_text()) for result in (run, other))
    assert cost["vlm"]["requests"] == undisturbed["vlm"]["requests"] == IMAGES * SENTENCES
    assert cost["proposer"]["requested"] == cost["images"] == IMAGES
    assert not run.partial.exists()


@pytest.fixture
def own(tmp_path) -> Path:
    """A folder as a user lays it out."""
    folder = tmp_path / "own"
    (folder / "images").mkdir(parents=True)
    for name in ("one", "two"):
        Image.fromarray(Picture(name, "", {}).pixels()).resize((96, 64)).save(folder / "images" / f"{name}.png")
    lines = ["image,expression", "one.png,the red square", "two.png,blue thing on the left"]
    (folder / "expressions.csv").write_text("\n".join(lines))
    return folder


def test_own_pictures(command, own, tmp_path):
    printed = command("evaluate.py", "experiment=refseg_own", f"data.source={own}", "split=predict")
    (folder,) = (tmp_path / "outputs" / "refseg_own").iterdir()
    assert f"2 unlabelled rows: {folder / 'answers.csv'}" in printed
    assert pd.read_csv(folder / "answers.csv")["info_sentence"].tolist() == ["the red square", "blue thing on the left"]
    assert list((folder / "figures").glob("*.png")) and (folder / "analysis" / "cost.csv").exists()
    assert "refseg_own" in command("evaluate.py", f"run={folder}", "split=predict")


def test_the_loop_at_once(command, tmp_path):
    small = ["data.sample.val=20", "callbacks.progress=null", "statistics.n_resamples=100"]
    printed = command("evaluate.py", "experiment=refseg_loop", *small, "analysis=[bootstrap]", "split=test")
    for word in ("miou", "oiou", "p@0.5", "oracle", "one shot"):
        assert word in printed
    (folder,) = (tmp_path / "outputs" / "refseg_loop").iterdir()
    assert {"val", "test"} <= json.loads((folder / "metrics.json").read_text()).keys()
