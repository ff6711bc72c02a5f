"""Who tells the first level what was invalidated."""
from __future__ import annotations

from typing import Any, Callable, Protocol


class Feed(Protocol):
    def start(self, client: Any, drop: Callable[[str], None], flush: Callable[[], None]) -> None: ...

    def lives(self) -> bool: ...

    def close(self) -> None: ...

    def after_fork(self) -> None: ...
