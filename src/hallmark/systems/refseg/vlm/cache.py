"""Answers on disk: a question that was answered once is never asked again."""

import logging
from pathlib import Path

from pydantic import ValidationError

from hallmark.storage.files import read_json, write_json
from hallmark.storage.hashing import digest
from hallmark.systems.refseg.vlm.base import Request
from hallmark.systems.refseg.vlm.reply import Answer

_log = logging.getLogger(__name__)


def answer_key(*, model: str, prompt: str, request: Request, parameters: dict) -> str:
    """Name of the answer to `request`: the same question to the same model has the same name on any machine."""
    return digest(
        {
            "model": model,
            "prompt": prompt,
            "image": request.image_digest,
            "expression": request.expression,
            "query": request.query,
            "history": list(request.history),
            "parameters": parameters,
        }
    )


class AnswerCache:
    """One file for each answer, renamed into place, so that many processes can share the folder.

    The unread answer is kept, not the query: what comes from disk passes the same checks as what comes by wire.

    Args:
        folder: created when the first answer is written.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._warned = False

    def get(self, key: str) -> Answer | None:
        """The answer, or None where there is none or its file is damaged."""
        try:
            stored = read_json(self._path(key))
            answer = Answer.model_validate(stored["answer"])
            return answer if stored["digest"] == digest(answer.model_dump()) else None
        except (OSError, ValueError, TypeError, KeyError, RecursionError, ValidationError):
            return None

    def put(self, key: str, answer: Answer) -> None:
        """Write `answer`; a disk that does not take it costs the next run a call, not this run its result."""
        content = answer.model_dump()
        try:
            write_json(self._path(key), {"answer": content, "digest": digest(content)})
        except (OSError, ValueError) as error:
            if not self._warned:
                _log.warning("answers are not kept in %s: %s", self.folder, error)
            self._warned = True

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"
