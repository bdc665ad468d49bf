"""What became of the calls of a rewriter: counted in every phase of a run, and an error where too many failed."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from hallmark.checks import SettingError
from hallmark.systems.refseg.vlm.base import Rewrite, Rewriter

_BUDGET = "budget"  # no call was made because the user's own limit was reached, so none failed
_ENOUGH = 50  # calls before which a phase that is still on its way is not judged by its share


class TooManyFailures(SettingError):
    """More calls of the rewriter failed than `model.rewriter.max_failed` allows."""


@dataclass
class CallCounts:
    """Calls of a rewriter.

    Attributes:
        requests: rewritings asked for.
        cached: of them answered from disk.
        fallbacks: of them without an answer, by kind; the query was kept.
        tokens_in, tokens_out: of prompts and replies, those from disk included.
    """

    requests: int = 0
    cached: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    fallbacks: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, rewrites: Iterable[Rewrite]) -> "CallCounts":
        """Those that led to `rewrites`."""
        answers = list(rewrites)
        return cls(
            requests=len(answers),
            cached=sum(rewrite.cached for rewrite in answers),
            tokens_in=sum(rewrite.tokens_in for rewrite in answers),
            tokens_out=sum(rewrite.tokens_out for rewrite in answers),
            fallbacks=dict(Counter(rewrite.fallback for rewrite in answers if rewrite.fallback)),
        )

    def __add__(self, other: "CallCounts") -> "CallCounts":
        return CallCounts(
            self.requests + other.requests,
            self.cached + other.cached,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            dict(Counter(self.fallbacks) + Counter(other.fallbacks)),
        )

    @property
    def failed(self) -> int:
        """Fallbacks of any kind but `budget`, which is a limit that the user has set."""
        return sum(count for kind, count in self.fallbacks.items() if kind != _BUDGET)

    def check(self, rewriter: Rewriter | None, *, complete: bool) -> None:
        """Raise `TooManyFailures` where a greater share failed than the rewriter's `max_failed`.

        Answers from disk are calls that did not fail; what the budget held back is no call.

        Args:
            complete: the phase is over; before that a few failures do not end it.
        """
        limit: float = getattr(rewriter, "max_failed", 1.0)
        calls = self.requests - self.fallbacks.get(_BUDGET, 0)
        if self.failed <= limit * (calls if complete else max(calls, _ENOUGH)):
            return
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.fallbacks.items()))
        source = getattr(rewriter, "source", type(rewriter).__name__)
        raise TooManyFailures(
            "model.rewriter.max_failed", limit,
            f"fewer failed calls: {self.failed} of {calls} to {source} failed ({kinds}). Correct the cause and repeat "
            "the command, which asks again only for what was not answered; or allow a larger share",
        )  # fmt: skip
