"""Watches over a server of models: whether it may be asked, what it serves, and when it is back."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from webchat.engine.breaker import Breaker
from webchat.engine.completions import Model
from webchat.engine.generation import EngineUnavailable
from webchat.engine.upstream import TryFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from webchat.engine.upstream import Upstream

JITTER = (1.0, 1.5)  # pauses are longer by chance, so that many who failed together come back apart


class Watch:
    """Keeps the breaker of one server. Everything here happens on the event loop.

    Args:
        upstream: the server.
        wanted: the model to ask for; empty takes the first that the server lists.
        judged: called after each look and each outcome, with what is wrong or None.

    Attributes:
        model: the model to ask for, as far as it is known.
    """

    def __init__(self, upstream: Upstream, wanted: str, judged: Callable[[str | None], None]) -> None:
        self.model = Model(wanted, "")
        self._upstream = upstream
        self._wanted = wanted
        self._judged = judged
        self._breaker = Breaker()
        self._doubt = asyncio.Event()

    @property
    def open(self) -> bool:
        """Nothing should be asked of the server now."""
        return self._breaker.open

    def worked(self) -> None:
        """Note that an answer has come to its end."""
        self._breaker.worked()
        self._judged(None)

    def failed(self, failed: TryFailed) -> None:
        """Note a failure; unless the request alone is at fault, the server is looked for at once."""
        if failed.fault == "request":
            return
        if failed.fault == "server":
            self._breaker.failed()
        else:
            self._breaker.trip()
        self._judged(str(failed))
        self._doubt.set()

    async def run(self) -> None:
        """Look whether the server is there: at the start, after each failure, and while the breaker is open."""
        while True:
            self._doubt.clear()
            await self._look()
            if not self._breaker.open:
                await self._doubt.wait()
            if self._breaker.open:
                await asyncio.sleep(self._breaker.pause * random.uniform(*JITTER))  # noqa: S311 - no secret

    async def _look(self) -> None:
        try:
            self.model = self._chosen(await self._upstream.models())
        except TryFailed as failed:
            self._breaker.trip()
            self._judged(str(failed))
        else:
            self._breaker.found()
            self._judged(None)

    def _chosen(self, models: list[Model]) -> Model:
        """The model to ask for. One that is not listed may still be known, by another name for it."""
        listed = next((model for model in models if model.id == self._wanted), models[0] if models else None)
        if self._wanted:
            return Model(self._wanted, listed.server if listed else "")
        if listed is None:
            raise TryFailed(EngineUnavailable("the server lists no model; see WEBCHAT_ENGINE_MODEL"), "settings")
        return listed
