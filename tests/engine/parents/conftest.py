"""A parent, and the runs that are made with it."""

import pytest
from tests.engine.student import DIGITS

import hallmark.engine.train as train_module
from hallmark.engine.job import Job
from hallmark.runs.run import Run


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Nothing more is needed to make a fit short."""
    return ["callbacks.progress=null"]


@pytest.fixture
def parent(fitted) -> Run:
    return fitted(*DIGITS)


@pytest.fixture
def job(compose, small):
    """A function from overrides to the job of a run that starts from another one."""
    return lambda *overrides: Job.of(compose(*small, *DIGITS, "name=child", *overrides))


@pytest.fixture
def fits(monkeypatch) -> list[str]:
    """The names of the runs that are fitted, in their order."""
    names: list[str] = []
    begin = train_module.fit_callbacks

    def counted(job, *arguments):
        names.append(job.config.name)
        return begin(job, *arguments)

    monkeypatch.setattr(train_module, "fit_callbacks", counted)
    return names
