"""manage.py inval: what the database does for the caches of this project, and how to operate it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, connections

from ...commands import caching, operating, seeing
from ...commands.report import Failed, write
from ...conf import inval_databases


class Command(BaseCommand):
    help = "Looks at inval, the extension that invalidates caches, and operates it."

    def add_arguments(self, parser: Any) -> None:
        subparsers = parser.add_subparsers(dest="subcommand", metavar="subcommand", required=True)
        for module in (seeing, operating, caching):
            for name, (run, explain, add_arguments) in module.SUBCOMMANDS.items():
                # What it does is the first line of its help, how it ends the rest.
                one = subparsers.add_parser(name, help=explain.splitlines()[0], description=explain)
                one.add_argument("--database", help="alias of the database (default: the first that has inval)")
                one.add_argument("--json", action="store_true", help="print JSON")
                add_arguments(one)
                one.set_defaults(run=run)

    def handle(self, *args: Any, **options: Any) -> None:
        alias = options["database"] or next(iter(inval_databases()), "default")
        if alias not in connections:
            raise CommandError(f"there is no database {alias!r} in settings.DATABASES", returncode=2)
        try:
            report = options["run"](connections[alias], options)
        except Failed as failure:
            raise CommandError(str(failure), returncode=failure.returncode) from None
        except LookupError as error:
            raise CommandError(str(error), returncode=2) from None
        except DatabaseError as error:
            raise CommandError(f"the database says: {error}{_advice(error)}", returncode=2) from None
        write(self.stdout, report, options["json"])
        if report.problem is not None:
            raise CommandError(report.problem, returncode=1)


def _advice(error: DatabaseError) -> str:
    if "permission denied" not in str(error):
        return ""
    return "\nWhat is to be seen takes membership in pg_monitor, what changes something GRANT EXECUTE on its function."
