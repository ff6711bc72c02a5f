"""status, rules, coverage, queue: nothing is changed."""

from typing import Any

from ..checks import untracked
from ..conf import conf
from ..database import query
from .migration import as_migration
from .report import Failed, Report


def status(connection: Any, options: Any) -> Report:
    targets = query(
        connection,
        """
        SELECT t.target, t.state, t.address, t.queue_depth, t.oldest_age, t.round_trip_ms, t.worker_pid, s.lag_p50_ms,
            s.lag_p99_ms, s.lag_max_ms, t.progress, t.last_error
        FROM {inval}inval_target_status t
            LEFT JOIN (SELECT target, max(lag_p50_ms) AS lag_p50_ms, max(lag_p99_ms) AS lag_p99_ms,
                           max(lag_max_ms) AS lag_max_ms
                       FROM {inval}inval_stats GROUP BY target) s USING (target)
        ORDER BY t.target
        """,
    )
    broken = query(connection, "SELECT id FROM {inval}inval_rule WHERE broken IS NOT NULL AND state <> 'off'")
    faults = [f"target {row['target']} is {row['state']}" for row in targets if row["state"] != "up"]
    faults += [f"{len(broken)} rules are broken: manage.py inval rules"] if broken else []
    return Report(targets, problem="; ".join(faults) or None)


def rules(connection: Any, options: Any) -> Report:
    found = query(
        connection,
        """
        SELECT id, relation::text AS relation, key, field, action, delivery, changes, via, ttl, publish, stream, fence,
            repeat_after, refill, NULLIF(targets, '{default}') AS targets, state, broken
        FROM {inval}inval_rule ORDER BY relation::text, key, id
        """,
    )
    if options["as_migration"]:
        return Report(text=as_migration(connection))
    return Report(found, summary="" if found else "There are no rules.")


def coverage(connection: Any, options: Any) -> Report:
    columns = [options["column"]] if options["column"] else conf().coverage
    if not columns:
        raise Failed("name a column, or set INVAL['COVERAGE']")
    rows, holes = [], []
    for column in columns:
        rows += [
            {"column": column, **row}
            for row in query(
                connection, "SELECT relation::text AS relation, verdict, detail FROM {inval}inval_coverage(%s)", [column]
            )
        ]
        holes += untracked(connection, column, conf().exempt)
    problem = f"{len(holes)} tables are not all tracked:\n" + "\n".join(holes) if holes and options["fail"] else None
    return Report(rows, summary="" if rows else "No table has such a column.", problem=problem)


def queue(connection: Any, options: Any) -> Report:
    rows = query(
        connection,
        """
        SELECT id, queued_at, target, action, key, field, attempts, next_attempt, last_error
        FROM {inval}inval_queue ORDER BY id LIMIT %s
        """,
        [options["limit"]],
    )
    facts = query(
        connection,
        "SELECT count(*) AS length, coalesce(max(now() - queued_at), interval '0') AS age FROM {inval}inval_queue",
    )[0]
    problem = None
    if options["max_age"] is not None and facts["age"].total_seconds() > options["max_age"]:
        problem = f"the oldest entry has waited for {facts['age']}"
    return Report(rows, summary=f"{facts['length']} queued", problem=problem)


def _nothing(parser: Any) -> None:
    pass


def _rules_arguments(parser: Any) -> None:
    parser.add_argument("--as-migration", action="store_true", help="print operations that make these rules")


def _coverage_arguments(parser: Any) -> None:
    parser.add_argument("column", nargs="?", help="a column, such as team_id (default: INVAL['COVERAGE'])")
    parser.add_argument("--fail", action="store_true", help="exit status 1 if a table is not all tracked")


def _queue_arguments(parser: Any) -> None:
    parser.add_argument("--limit", type=int, default=20, help="entries to show (default 20)")
    parser.add_argument("--max-age", type=float, metavar="SECONDS", help="exit status 1 if one has waited for longer")


SUBCOMMANDS = {
    "status": (status, "How each target is doing; exit status 1 if one is not up, or a rule is broken.", _nothing),
    "rules": (rules, "Which keys the rows of which table feed.", _rules_arguments),
    "coverage": (coverage, "Tables that have a column, or lead to one, and whether they are tracked.", _coverage_arguments),
    "queue": (queue, "Invalidations that are committed and that their target has not confirmed.", _queue_arguments),
}
