"""A run that cannot be the parent that it is named as."""

import pytest

from hallmark.checks import SettingError
from hallmark.engine.job import Job
from hallmark.engine.parents import initial_module, parent_uses

pytestmark = pytest.mark.e2e


def test_it_is_named_as_it_was_typed(compose, small, parent):
    typed = ["experiment=digits_gan", "data.classes=['0','1','2']", f"parents.judge={parent.directory}"]
    with pytest.raises(SettingError) as refused:
        initial_module(Job.of(compose(*small, *typed)))
    assert refused.value.key == "parents.judge" and refused.value.value == str(parent.directory)


def test_one_that_the_model_does_not_take_is_left_out_by_null(compose, small, parent):
    typed = ["experiment=characters_distil", "model/distillation=none", f"parents.teacher={parent.directory}"]
    with pytest.raises(SettingError) as refused:
        parent_uses(Job.of(compose(*small, *typed)))
    assert refused.value.key == "parents.teacher" and "parents.teacher=null" in refused.value.expected
    assert parent_uses(Job.of(compose(*small, *typed[:2], "parents.teacher=null"))) == {}
