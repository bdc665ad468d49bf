"""Answers on disk: a question that was answered as it was asked for is never asked again."""

import logging
from pathlib import Path

from pydantic import ValidationError

from hallmark.learning.language_model.answer import Answer
from hallmark.storage.cache import FileCache
from hallmark.storage.hashing import digest
from hallmark.systems.refseg.vlm.base import Request
from hallmark.systems.refseg.vlm.prompt import FINGERPRINT
from hallmark.systems.refseg.vlm.reply import parse_answer

_log = logging.getLogger(__name__)


def answer_key(*, source: str, model: str, request: Request, parameters: dict) -> str:
    """Name of the answer to `request`: the same question to the same model has the same name on any machine.

    Args:
        source: who serves the model: an address without login, or `local`.
    """
    return digest({
        "source": source, "model": model, "prompt": FINGERPRINT, "image": request.image_digest,
        "expression": request.expression, "query": request.query, "history": list(request.history),
        "parameters": parameters,
    })  # fmt: skip


class AnswerCache:
    """Answers by the hash of their questions.

    The unread answer is kept, not the query: what comes from disk passes the same checks as what comes by wire.
    Only answers that hold a query are kept. A refusal, an empty or a malformed reply is asked for again by the next
    run, and one that an earlier version kept is as if it were absent.

    Args:
        folder: created when the first answer is written.
    """

    def __init__(self, folder: Path | str) -> None:
        self._files, self._warned = FileCache(folder, ".json"), False

    def get(self, key: str) -> Answer | None:
        """The answer, or None where there is none, it holds no query, or its file is damaged."""
        try:
            stored = self._files.get(key)
            answer = Answer.model_validate(stored["answer"])
            intact = stored["digest"] == digest(answer.model_dump())
            return answer if intact and parse_answer(answer).query is not None else None
        except (TypeError, KeyError, ValidationError):
            return None

    def put(self, key: str, answer: Answer) -> None:
        """Write `answer` if it holds a query; a disk that does not take it costs the next run a call, not this run its
        result."""
        if parse_answer(answer).query is None:
            return
        content = answer.model_dump()
        try:
            self._files.put(key, {"answer": content, "digest": digest(content)})
        except (OSError, ValueError) as error:
            if not self._warned:
                _log.warning("answers are not kept in %s: %s", self._files.folder, error)
            self._warned = True
