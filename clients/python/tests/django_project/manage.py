"""The project of the tests of inval.django.

Usage: python3 clients/python/tests/django_project/manage.py test [--parallel N] [label...]

libpq takes the server from PGHOST, PGPORT and PGUSER, who is a superuser; PGDATABASE is a database to begin from.
INVAL_REDIS_URL is the Redis database that it invalidates; the tests empty those from number 1 on.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src"))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")

if __name__ == "__main__":
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
