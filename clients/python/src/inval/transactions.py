"""may_store for psycopg and SQLAlchemy: whether what this transaction reads is what others see.

A transaction that has written would publish what is not committed, and one that is not READ
COMMITTED may have a snapshot from before the lease. PostgreSQL knows both exactly.

    cache = Cache.from_url(url, may_store=psycopg_may_store(get_connection))
"""
from __future__ import annotations

from typing import Any, Callable

CLEAN = ("SELECT pg_current_xact_id_if_assigned() IS NULL "
         "AND current_setting('transaction_isolation') = 'read committed'")
IDLE = 0  # psycopg's TransactionStatus.IDLE


def psycopg_may_store(connection: Callable[[], Any]) -> Callable[[], Any]:
    """For psycopg 3, connections and async ones, and psycopg2: connection() gives the one that
    load reads with. Outside a transaction nothing is asked."""

    def may_store() -> Any:
        used = connection()
        if _is_idle(used):
            return True
        if hasattr(used, "__aenter__"):
            return _ask_async(used)
        with used.cursor() as cursor:
            cursor.execute(CLEAN)
            return bool(cursor.fetchone()[0])

    return may_store


async def _ask_async(connection: Any) -> bool:
    cursor = await connection.execute(CLEAN)
    return bool((await cursor.fetchone())[0])


def _is_idle(connection: Any) -> bool:
    return bool(connection.info.transaction_status == IDLE)


def sqlalchemy_may_store(session: Callable[[], Any]) -> Callable[[], Any]:
    """For SQLAlchemy: session() gives the Session, or Connection, that load reads with (for a
    scoped_session itself). What the session has not flushed yet counts as written."""

    def may_store() -> bool:
        from sqlalchemy import text

        used = session()
        if getattr(used, "new", None) or getattr(used, "dirty", None) or \
                getattr(used, "deleted", None):
            return False
        if not used.in_transaction():
            return True
        return bool(used.execute(text(CLEAN)).scalar())

    return may_store
