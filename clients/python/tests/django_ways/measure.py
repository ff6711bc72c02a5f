"""Write in all the ways of test/django, read through InvalCache, and report as JSON what was stale afterwards.

Usage: python3 clients/python/tests/django_ways/measure.py      (test/django/settings.py says what it needs in the environment)

For each way: the data set anew, every answer cached by get_or_set, the write, and every answer again, from the cache
and from the database.  The same once more with each write in a transaction that reads through the cache after it, which
must see what it has written, and at last rolled back, which must leave nothing of it.
"""

import json
import os
import sys
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "src"), str(HERE.parents[3] / "test" / "django")]
os.environ["DJANGO_SETTINGS_MODULE"] = "ways_settings"

import django

django.setup()

from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import call_command
from django.db import connection
from django.db.transaction import atomic
from inval.django.glue import ensure_library
from library.reads import all_reads, differing
from ways import DATA, WAYS, execute

READS = list(all_reads())


def from_database():
    return {read.key: read.from_cacheops() for read in READS}


def from_cache():
    return {read.key: cache.get_or_set(read.key, read.from_cacheops) for read in READS}


def start_anew():
    execute(DATA)
    cache.clear()
    truth = from_database()
    assert from_cache() == truth
    # From now on nothing but a stale answer can be wrong: all of them are there.
    assert sum(cache.has_key(read.key) for read in READS) == len(READS)
    return truth


def compare(write):
    before = start_anew()
    write()
    stale = from_cache()
    truth = from_database()
    return {"changed": differing(before, truth), "stale": differing(stale, truth)}


def compare_in_transaction(write):
    """What the transaction itself is given, and what is cached when it is rolled back."""
    before = start_anew()
    with atomic():
        write()
        own = from_cache()
        truth = from_database()
        # Once more where there is nothing yet: what is stored now others would be given.
        cache.clear()
        from_cache()
        connection.set_rollback(True)
    return {"own": differing(own, truth), "left": differing(from_cache(), before)}


def attempt(measure, write):
    try:
        return measure(write)
    except Exception:
        connection.close()
        return {"error": traceback.format_exc()}


def is_in_transaction(name):
    """psql has transactions of its own; COPY goes to the driver's cursor directly, which docs/orm.md names as a limit."""
    return not name.startswith("psql") and "COPY" not in name


def main():
    call_command("makemigrations", check=True, dry_run=True, verbosity=0, stdout=sys.stderr)
    for migrations in [], ["library", "zero"], []:
        call_command("migrate", *migrations, verbosity=0, stdout=sys.stderr)
    # The worker does it too, when it comes to that.
    ensure_library(cache.inval)
    call_command("check", databases=["default"], stdout=sys.stderr)
    User.objects.create_superuser("admin")
    report = {
        "version": django.get_version(),
        "ways": [{"name": name, **attempt(compare, write)} for name, write in WAYS],
        "in transactions": [
            {"name": name, **attempt(compare_in_transaction, write)} for name, write in WAYS if is_in_transaction(name)
        ],
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
