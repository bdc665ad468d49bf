from tests.analysis.drawn import Recordings

from hallmark.analysis.bad_cases import BadCases
from hallmark.analysis.plots.signal_sheet import series_of, signal_sheet


def bad_cases(**changes):
    return BadCases(
        **{"source": "out_of_fold", "confidence_below": 0.6, "limit": None, "label_errors": False, **changes}
    )


def test_recordings_are_drawn_with_what_is_missing_and_all_answers(subjects):
    cases = bad_cases(limit=2).cases(subjects)
    signals = series_of(Recordings(subjects, ["BVP", "EDA"]), cases["guid"].tolist())
    first, second = signal_sheet(cases, signals, subjects).axes
    assert first.get_title(loc="left") == "pet: cat → dog  0.99"
    assert first.get_xlabel().split("\n") == ["toy: cat → cat  0.90", "subject A, a at 0 s"]
    assert second.get_title(loc="left") == "toy: cat → dog  0.65"
    assert [label.get_text() for label in first.get_yticklabels()] == ["BVP", "EDA"]
    assert len(first.lines) == 1 and len(second.lines) == 2
    assert first.lines[0].get_xdata().tolist() == [0, 0.5, 1, 1.5, 2]
    gray = [patch for patch in first.collections if len(patch.get_paths())]
    assert len(gray) == 1 and not [patch for patch in second.collections if len(patch.get_paths())]
    assert {text.get_text() for text in second.texts} == {"7 to 7"}


def test_the_sheet_of_a_system_of_signals(subjects, make_state, assert_drawn):
    state = make_state(subjects, data=Recordings(subjects, ["BVP", "EDA"]))
    bad_cases(source="val").run(state)
    assert_drawn(state.directory, "bad_cases")


def test_samples_of_a_set_are_found_by_their_own_ids(subjects):
    data = Recordings(subjects, ["BVP", "EDA"])
    series = series_of(data, ["b@seed 0", "b@seed 1", "d"])
    assert [series.of[name][0, 0] for name in ("b@seed 0", "b@seed 1", "d")] == [1, 1, 3]
    assert series_of(Recordings(subjects, None), ["b"]) is None
