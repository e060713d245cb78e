"""What is said to an OpenAI-compatible server, and what its answers mean. No network here.

Only fields every server of this kind knows are sent, because some refuse others; to those that say in their list of
models who they are, the rest of the sampling goes in their own words.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from webchat.engine.generation import FinishReason
    from webchat.engine.interface import ChatMessage, ChatRequest

_MOST_STOPS = 4  # OpenAI's own bound; ours are looked for on this side too
_PENALTY = {"llamacpp": "repeat_penalty", "vllm": "repetition_penalty", "sglang": "repetition_penalty"}
_LONGEST_MESSAGE = 300  # characters of a server's own words in an error
_LONGEST_NAME = 500  # characters of a model's name: some are paths
_MOST_TOKENS = 1 << 31


class Unreadable(ValueError):  # noqa: N818 - reads as what happened
    """The server sends what no OpenAI-compatible server would."""


class ErrorEvent(Exception):  # noqa: N818 - an event of the stream, named as such
    """The server reports an error inside the stream, with the HTTP status it would have had."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a server's list; ``server`` is what the server calls itself there."""

    id: str
    server: str

    @property
    def shown(self) -> str:
        """How pages name it: visitors are not told the folders of another machine."""
        is_path = self.id.startswith("/") or self.id.endswith(".gguf")
        return self.id.rpartition("/")[2].removesuffix(".gguf") if is_path else self.id


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the server has counted them."""

    prompt_tokens: int
    reused_tokens: int
    new_tokens: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """One event of a stream. ``progress``: it holds text, or thoughts that are not shown."""

    text: str = ""
    progress: bool = False
    finish: FinishReason | None = None
    usage: Usage | None = None


def body(request: ChatRequest, messages: Sequence[ChatMessage], model: Model) -> dict[str, Any]:
    """The JSON of a request for a streamed answer."""
    sampling = request.sampling
    fields: dict[str, Any] = {
        "model": model.id,
        "messages": [{"role": message.role, "content": message.text} for message in messages],
        "max_tokens": request.max_new_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if request.stop:
        fields["stop"] = list(request.stop[:_MOST_STOPS])
    if sampling.seed is not None:
        fields["seed"] = sampling.seed
    if penalty := _PENALTY.get(model.server):
        fields |= {"top_k": sampling.top_k, "min_p": sampling.min_p, penalty: sampling.repeat_penalty}
    return fields


def chunk(data: str) -> Chunk:
    """Read one event of a stream.

    Raises:
        ErrorEvent: it is an error.
        Unreadable: it is no JSON, or not of the known shape.
    """
    if data.strip() == "[DONE]":
        return Chunk(finish="stop")
    try:
        event = json.loads(data)
        if error := event.get("error"):
            raise ErrorEvent(_status(error), message(event))
        choice = event["choices"][0] if event.get("choices") else {}
        delta = choice.get("delta") or {}
        text = delta.get("content") or ""
        if not isinstance(text, str):
            raise Unreadable("the text of an answer is no text")
        return Chunk(
            text,
            progress=bool(text or delta.get("reasoning_content") or delta.get("reasoning")),
            finish=_finish(choice.get("finish_reason")),
            usage=_usage(event.get("usage")),
        )
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise Unreadable(f"an event of the stream cannot be read ({type(error).__name__})") from None


def models(content: bytes) -> list[Model]:
    """Read the answer of ``GET /v1/models``.

    Raises:
        Unreadable: it is no list of models.
    """
    try:
        return [Model(_name(each["id"]), str(each.get("owned_by", ""))) for each in json.loads(content)["data"]]
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError):
        raise Unreadable("its answer to GET /v1/models is no list of models") from None


def message(content: Any) -> str:
    """The server's own words in an error it reports, with its names for it; empty when there are none."""
    error = content.get("error", content) if isinstance(content, dict) else ""
    if isinstance(error, dict):
        error = " ".join(str(error[key]) for key in ("message", "type", "code") if isinstance(error.get(key), str))
    return "".join(char if char.isprintable() else " " for char in str(error))[:_LONGEST_MESSAGE]


def _name(value: object) -> str:
    """A model's name, which pages show and requests carry.

    Raises:
        ValueError: it is none.
    """
    name = str(value)
    if not name.isprintable() or not 0 < len(name) <= _LONGEST_NAME:
        raise ValueError("no name of a model")
    return name


def _status(error: Any) -> int:
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, int) else 500


def _finish(reason: object) -> FinishReason | None:
    if reason is None:
        return None
    return "length" if reason == "length" else "stop"  # whatever else a server calls it, it has stopped


def _usage(usage: Any) -> Usage | None:
    """Counts of an odd shape are as good as none: the answer is worth more than its statistics."""
    try:
        details = usage.get("prompt_tokens_details") or {}
        cached = details.get("cached_tokens") or 0
        counts = int(usage["prompt_tokens"]), int(cached), int(usage["completion_tokens"])
        return Usage(*counts) if all(0 <= count < _MOST_TOKENS for count in counts) else None
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError):
        return None
