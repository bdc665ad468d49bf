"""What a system that learns online says of a picture and of a change."""

from dataclasses import dataclass

from hallmark.storage.vectors import Version


@dataclass(frozen=True)
class Recognition:
    """Who is in a picture.

    Attributes:
        name: the role, or None: nobody whom the database has.
        score: how much the picture looks like one of the roles (`Learner.known`); below `threshold` it is unknown.
        threshold: None while there are fewer than three roles; the best one is then always the answer.
        best, runner_up: the two roles whose logits are highest, with these; `runner_up` is None for one role alone.
        nearest: of the pictures of the ten roles with the highest logits the nearest by cosine: (role, hash of its
            content, cosine).
    """

    name: str | None
    score: float
    threshold: float | None
    best: tuple[str, float]
    runner_up: tuple[str, float] | None
    nearest: list[tuple[str, str, float]]


@dataclass(frozen=True)
class Added:
    """What added pictures have made.

    Attributes:
        version: of the database, to which `OnlineLearningSystem.revert` goes back.
        warnings: sentences on pictures that look like another role.
    """

    version: Version
    warnings: list[str]
