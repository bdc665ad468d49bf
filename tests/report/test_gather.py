import json
import shlex

import pytest
from tests.report.conftest import predictions
from tests.report.reading import sections, table

from hallmark.commands.report import default_folder
from hallmark.console import main
from hallmark.report.content import Commands
from hallmark.report.gather import gather
from hallmark.statistics import Resampling, all_intervals
from hallmark.statistics.text import interval_text


def test_the_first_sentence_is_the_result_and_how_sure_it_is(plain):
    interval = all_intervals(predictions(), ["macro_f1"], resampling=Resampling(0.95, 2000, 0))["macro_f1"]
    assert plain.summary[0] == (
        f"clip_final reaches a validation macro F1 of {interval_text(interval)} (95 % interval, 24 groups)."
    )
    assert plain.highlights[0].value == f"{interval.estimate:.3f}"


def test_a_sweep_shows_its_trials_best_first_and_its_best_run(make_sweep):
    sweep = make_sweep()
    report = gather([sweep])
    by_title = sections(report)
    trials = table(by_title["Sweep grid-12345678"])
    values = [float(row[2]) for row in trials.rows]
    assert values == sorted(values, reverse=True) and trials.columns[-2:] == ["lr", "dropout"]
    assert "the best of many" in report.summary[0]
    assert "clip_probe/Metrics on validation" in by_title


def test_the_command_of_a_sweep_can_be_typed_again(make_sweep):
    sweep = make_sweep()
    manifest = json.loads((sweep / "manifest.json").read_text())
    manifest["command"] = ["sweep.py", "sweep=grid", "sweep.space={model.ngrams: [1, 2]}"]
    (sweep / "manifest.json").write_text(json.dumps(manifest))
    blocks = sections(gather([sweep]))["Sweep grid-12345678"].blocks
    ((line,),) = [block.lines for block in blocks if isinstance(block, Commands)]
    assert shlex.split(line) == ["python", *manifest["command"]]


def test_a_sweep_that_has_not_ended_is_refused(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no trials\.csv yet"):
        gather([tmp_path])


def test_the_command_writes_beside_the_result_or_where_it_is_told(make_run, tmp_path, capsys):
    run = make_run()
    assert main(["report", str(run.directory)]) == 0
    assert (run.directory / "report" / "report.html").exists()
    assert "clip_final reaches" in capsys.readouterr().out
    assert main(["report", str(run.directory), "--output", str(tmp_path / "there")]) == 0
    assert (tmp_path / "there" / "report.md").exists()
    capsys.readouterr()
    assert main(["report", str(run.directory), "--output", str(tmp_path / "there" / "report.md")]) == 2
    assert capsys.readouterr().err.startswith("error: --output=")


def test_an_experiment_with_one_run_is_that_run(make_run):
    run = make_run()
    assert gather([run.directory.parent]).summary == gather([run.directory]).summary


def test_several_results_are_reported_in_the_folder_that_holds_them(tmp_path):
    assert default_folder([tmp_path / "a" / "1", tmp_path / "b" / "2"]) == tmp_path / "report"


def test_an_unfinished_run_is_refused_with_what_to_do(make_run, capsys):
    run = make_run(state="interrupted")
    assert main(["report", str(run.directory)]) == 2
    assert "repeat its command to finish it" in capsys.readouterr().err


def test_nothing_of_the_data_is_read(make_run, monkeypatch):
    """Only what the run stored: no predictions of the test split without an access record."""
    run = make_run(measured=("val", "test"))
    (run.directory / "predictions" / "test.parquet").write_bytes(b"whoever reads this fails")
    assert gather([run.directory]).summary
    assert json.loads((run.directory / "metrics.json").read_text())["test"]
