"""What a reason says of a video."""

import re

import numpy as np
import pytest
from scipy.special import expit

from hallmark.systems.deepfake.decisions import Thresholds
from hallmark.systems.deepfake.verdict import reasons


@pytest.mark.parametrize(
    ("verdict", "logit", "numbers"),
    [("fake", 0.5, ["0.622", "0.500"]), ("fake", 1.2e-5, ["0.500003", "0.500000"]), ("fake", 0.0, ["0.500", "0.500"]),
     ("real", -2.5, ["0.076", "0.119"]), ("undecided", -1e-3, ["0.4998", "0.1192", "0.5000"])],
)  # fmt: skip
def test_a_reason_has_the_digits_that_tell_its_numbers_apart(verdict, logit, numbers):
    promise = {key: {"rate": 0.05, "risk": 0.05, "n": 120} for key in ("clear", "early_fake", "fake", "real")}
    thresholds = Thresholds(clear=-3.0, early_fake=3.0, fake=0.0, real=-2.0, guarantees=promise)
    (reason,) = reasons(np.array(["stack"]), np.array([verdict]), expit(np.array([logit])), thresholds)
    assert re.findall(r"0\.\d+", reason) == numbers and "before calibration" in reason
