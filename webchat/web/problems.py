"""What can go wrong for a caller: one exception, one sentence, one status."""

from __future__ import annotations

import math


class Problem(Exception):  # noqa: N818 - the RFC's word
    """A request that cannot be served, said to the person who sent it.

    Args:
        status: HTTP status.
        detail: a translated sentence that says what to do.
        retry_after: seconds for the ``Retry-After`` header, which takes whole ones.
        param: the field of a ``/v1`` request that it is about.
        code: the word that ``/v1`` has for it, where the status alone does not tell.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        retry_after: float | None = None,
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.param = param
        self.code = code
        self.retry_after = None if retry_after is None else max(1, math.ceil(retry_after))
