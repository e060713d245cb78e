"""What can go wrong for a caller: one exception, one sentence, one status."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Problem(Exception):  # noqa: N818 - the RFC's word
    """A request that cannot be served, said to the person who sent it.

    Args:
        status: HTTP status.
        detail: a translated sentence that says what to do.
        retry_after: seconds for the ``Retry-After`` header, which takes whole ones.
        param: the field of a ``/v1`` request that it is about.
        code: the word that ``/v1`` and the chat page have for it, where the status alone does not tell.
        suggested: questions of the shop that are answered at once, offered instead.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        retry_after: float | None = None,
        param: str | None = None,
        code: str | None = None,
        suggested: Sequence[str] = (),
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.param = param
        self.code = code
        self.suggested = suggested
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))
