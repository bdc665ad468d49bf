"""A rewriter that runs a vision-language model of transformers on this machine."""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from hallmark.checks import require
from hallmark.learning.device import chosen_device
from hallmark.learning.language_model.answer import MAX_TEXT, Answer
from hallmark.storage.hashing import digest
from hallmark.storage.requirements import Requirement
from hallmark.systems.refseg.vlm import prompt
from hallmark.systems.refseg.vlm.base import Fallback, Request, Rewrite
from hallmark.systems.refseg.vlm.cache import AnswerCache, answer_key
from hallmark.systems.refseg.vlm.picture import PictureEncoder
from hallmark.systems.refseg.vlm.reply import as_rewrite

_log = logging.getLogger(__name__)


class LocalRewriter:
    """The prompt, the checks and the cache of the endpoint's client around greedy decoding.

    Args:
        name: a model on the hub, such as HuggingFaceTB/SmolVLM-256M-Instruct, or a local folder in its layout.
        max_tokens: of a reply.
        device: torch's name of it; `auto` for a GPU if there is one.
        picture: how images are shown; its format does not matter here.
        max_failed: share of the calls of a phase that may fail before a run ends in an error.
        cache: None to run the model each time.

    Raises:
        MissingWeightsError: the model is not at hand; says how to provide it.
    """

    @classmethod
    def requirements(cls, arguments: Mapping[str, Any]) -> list[Requirement]:
        """The weights of the model."""
        from hallmark.learning.encoders.weights import weights_requirement

        name = arguments["name"]
        return [weights_requirement(f"vision-language model {name}", name, files=["config.json"])]

    def __init__(
        self, *, name: str, max_tokens: int, device: str, picture: PictureEncoder, max_failed: float,
        cache: AnswerCache | None,
    ) -> None:  # fmt: skip
        require(bool(name), "name", name, "the name of a model, or a folder")
        require(max_tokens >= 1, "max_tokens", max_tokens, "a number of tokens, 1 or more")
        require(0 <= max_failed <= 1, "max_failed", max_failed, "a share of the calls, from 0 to 1")
        self._device, self._max_tokens = chosen_device(device), max_tokens
        self.source, self.max_failed = name, max_failed
        self._processor, self._model, self._identity = _load(name, self._device)
        self._picture, self._cache = picture, cache
        self._lock = threading.Lock()

    def settings(self) -> dict[str, Any]:
        return {
            "kind": "local", "model": self._identity, "prompt": prompt.FINGERPRINT, "parameters": self._parameters(),
        }  # fmt: skip

    def _parameters(self) -> dict[str, Any]:
        return {"max_tokens": self._max_tokens, "decoding": "greedy", "max_pixels": self._picture.max_pixels}

    def rewrite(self, request: Request) -> Rewrite:
        """Another wording of `request.query`, or the query itself and the reason; never raises."""
        start = time.perf_counter()
        key = answer_key(source="local", model=self._identity, request=request, parameters=self._parameters())
        answer = self._cache.get(key) if self._cache is not None else None
        cached, fallback = answer is not None, None
        if answer is None:
            answer, fallback = self._attempt(request)
            if answer is not None and self._cache is not None:
                self._cache.put(key, answer)
        return as_rewrite(request, answer, fallback, cached=cached, seconds=time.perf_counter() - start)

    def _attempt(self, request: Request) -> tuple[Answer | None, Fallback | None]:
        try:
            image = self._picture.picture(request.image)
        except OSError as error:
            _log.warning("the query is kept: %s", error)
            return None, "unreadable_image"
        try:
            # Templates of processors want lists of parts where endpoints take a text.
            system, user = prompt.chat(request, {"type": "image", "image": image})
            parts = [{"type": "text", "text": system["content"]}]
            return self._generate([{**system, "content": parts}, user]), None
        except Exception as error:  # out of memory, or a template without a system message: one query, not the run
            _log.warning("the query is kept: the model failed (%s: %s)", type(error).__name__, error)
            return None, "model"

    def _generate(self, messages: list[dict]) -> Answer:
        import torch

        with self._lock, torch.inference_mode():
            inputs = self._processor.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt"
            ).to(self._device)
            tokens_1L = self._model.generate(**inputs, do_sample=False, num_beams=1, max_new_tokens=self._max_tokens)
            length = inputs["input_ids"].shape[1]
            reply = tokens_1L[:, length:]
            text = self._processor.batch_decode(reply, skip_special_tokens=True)[0]
        cut = reply.shape[1] >= self._max_tokens
        return Answer(text=text[:MAX_TEXT], cut=cut, tokens_in=length, tokens_out=reply.shape[1])


def _load(name: str, device: str) -> tuple[Any, Any, str]:
    """Processor, model, and what names the weights in caches."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from hallmark.learning.encoders.weights import NO_REMOTE_CODE, local_path, published

    folder = local_path(name)
    source = str(folder or name)
    with published(f"vision-language model {name}"):
        processor = AutoProcessor.from_pretrained(source, **NO_REMOTE_CODE)
        model = AutoModelForImageTextToText.from_pretrained(source, dtype="auto", **NO_REMOTE_CODE)
    version = getattr(model.config, "_commit_hash", None)
    if folder is not None:
        # Sizes and times for content: hashing gigabytes at each start would cost more than an answer asked again.
        files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(folder.rglob("*"))]
        version = digest(files)
    return processor, model.to(device).eval(), f"{name}@{version}"
