"""What a subcommand has to say, as a table or as JSON."""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Dict, List, Mapping, Optional, Sequence


@dataclass
class Report:
    """rows     of a table; text: instead, as it is
    summary  a line below
    problem  why the command fails (exit status 1); None: it does not
    """

    rows: List[Dict[str, Any]] = field(default_factory=list)
    text: Optional[str] = None
    summary: str = ""
    problem: Optional[str] = None


class Failed(Exception):
    """The command cannot be carried out as it was given."""

    def __init__(self, message: str, returncode: int = 2) -> None:
        super().__init__(message)
        self.returncode = returncode


def write(stdout: Any, report: Report, as_json: bool) -> None:
    if as_json:
        data = report.text if report.text is not None else report.rows
        stdout.write(json.dumps(data, default=_plain, indent=1, ensure_ascii=False))
        return
    if report.text is not None:
        stdout.write(report.text)
    elif report.rows:
        stdout.write(table(report.rows))
    if report.summary:
        stdout.write(report.summary)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Columns below their names, without those that are empty in all rows."""
    names = [name for name in rows[0] if any(row[name] not in (None, "", []) for row in rows)]
    cells = [names, *([_text(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[number]) for line in cells) for number in range(len(names))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
