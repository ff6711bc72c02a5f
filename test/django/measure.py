"""Try all the ways to write, and report as JSON which answers of the caches were stale afterwards.

Usage: test/django/python test/django/measure.py    (settings.py says what it needs in the environment)

For each way: the data set anew, both caches empty and then filled with every answer, the write, and every answer
again, from both caches and from the database. An answer is stale if it is not what the database says.
"""

import json
import os
import sys
import traceback

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django

django.setup()

import cacheops
from cacheops.signals import cache_read
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.transaction import atomic
from redis import Redis

from library.models import Book
from library.reads import all_reads, differing
from ways import DATA, WAYS, execute

cache = Redis(unix_socket_path=settings.REDIS_SOCKET, db=0)

READS = list(all_reads())


def from_database():
    return {read.key: read.from_database() for read in READS}


def from_cacheops():
    return {read.key: read.from_cacheops() for read in READS}


def from_cache():
    return {read.key: read.from_cache(cache) for read in READS}


def start_anew():
    """The data set, and both caches warm. Returns what the database says."""
    execute(DATA)
    cache.flushall()
    truth = from_database()
    assert from_cacheops() == truth and from_cache() == truth
    # From now on nothing but a stale answer can be wrong: all of them are there.
    assert cache.dbsize() == len(READS)
    assert count_hits(from_cacheops) == len(READS)
    return truth


def count_hits(read_all):
    hits = []

    def note(hit, **_):
        hits.append(hit)

    cache_read.connect(note)
    read_all()
    cache_read.disconnect(note)
    return hits.count(True)


def compare(write):
    before = start_anew()
    write()
    left = cache.dbsize()
    stale = {"cacheops": from_cacheops(), "inval": from_cache()}
    truth = from_database()
    return {
        "changed": differing(before, truth),
        "removed": len(READS) - left,
        **{name: differing(answers, truth) for name, answers in stale.items()},
    }


def attempt(write):
    try:
        return compare(write)
    except Exception:
        connection.close()
        return {"error": traceback.format_exc()}


def rolled_back():
    try:
        with atomic():
            book = Book.objects.get(pk=1)
            book.price = 20
            book.save()
            Book.objects.filter(publisher=2).update(price=20)
            execute("TRUNCATE library_book CASCADE")
            raise ValueError
    except ValueError:
        pass


def while_paused():
    """The control: a write of which inval sends nothing."""
    execute("SELECT inval_pause()")
    Book.objects.filter(publisher=1).update(price=20)


def resume():
    execute("SELECT inval_resume()")
    execute("SELECT inval_drain()")
    return differing(from_cache(), from_database())


def manage(*command, **options):
    # Standard output is for the report.
    call_command(*command, verbosity=0, stdout=sys.stderr, **options)


def main():
    manage("makemigrations", check=True, dry_run=True)
    # There, back, and there again: what tracks can be undone.
    for migrations in [], ["library", "zero"], []:
        manage("migrate", *migrations)
    User.objects.create_superuser("admin")
    report = {
        "versions": {"Django": django.get_version(), "django-cacheops": cacheops.__version__},
        "ways": [{"name": name, **attempt(write)} for name, write in WAYS],
        "rolled back": attempt(rolled_back),
        "paused": attempt(while_paused),
        "resumed": resume(),
    }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
