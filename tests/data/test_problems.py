import pytest

from hallmark.checks import SettingError
from hallmark.data.problems import BadDataError, Problems

POLICIES = {"missing_image": "skip", "empty_text": "keep", "unknown_tag": "fatal", "duplicate_id": "fatal"}


def problems() -> Problems:
    return Problems(POLICIES, repairable=["empty_text", "cmyk_image"])


def test_only_kept_rows_stay() -> None:
    collected = problems()
    assert collected.add("1", "empty_text", "1.txt is empty") is True
    assert collected.add("2", "missing_image", "2.jpg is missing") is False
    assert collected.add("3", "unknown_tag", "3 has the tag 'sad'") is False


def test_skipped_and_kept_findings_do_not_stop() -> None:
    collected = problems()
    collected.add("1", "empty_text", "1.txt is empty")
    collected.add("2", "missing_image", "2.jpg is missing")
    collected.add("3", "missing_image", "3.jpg is missing")
    collected.raise_if_fatal()
    assert collected.counts() == {"empty_text": 1, "missing_image": 2}
    assert collected.table().to_numpy().tolist() == [
        ["1", "empty_text", "keep", "1.txt is empty"],
        ["2", "missing_image", "skip", "2.jpg is missing"],
        ["3", "missing_image", "skip", "3.jpg is missing"],
    ]


def test_all_fatal_findings_are_listed_at_once() -> None:
    collected = problems()
    collected.add("0", "missing_image", "0.jpg is missing")
    collected.add("1", "unknown_tag", "1 has the tag 'sad'")
    collected.add("2", "duplicate_id", "2 is listed twice")
    with pytest.raises(BadDataError) as caught:
        collected.raise_if_fatal()
    message = str(caught.value)
    assert message.startswith("2 bad rows:")
    assert "unknown_tag: 1 has the tag 'sad'" in message and "duplicate_id: 2 is listed twice" in message
    assert "0.jpg" not in message
    assert "data.on_problem.duplicate_id=skip data.on_problem.unknown_tag=skip" in message


def test_a_long_list_is_cut_and_counted() -> None:
    collected = problems()
    for number in range(23):
        collected.add(str(number), "unknown_tag", f"row {number}")
    with pytest.raises(BadDataError, match=r"(?s)23 bad rows.*row 19\n.*and 3 more") as caught:
        collected.raise_if_fatal()
    assert "row 20" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "policy", "allowed"),
    [("missing_image", "keep", "fatal, skip"), ("empty_text", "ignore", "fatal, skip, keep")],
)
def test_a_policy_must_have_a_meaning(kind: str, policy: str, allowed: str) -> None:
    with pytest.raises(SettingError, match=f"on_problem.{kind}='{policy}': expected one of {allowed}$"):
        Problems({**POLICIES, kind: policy}, repairable=["empty_text"])
