"""Which keys of the cache the rows of each table feed."""

from django.contrib.postgres.operations import CreateExtension
from django.db import migrations


def track(table, key):
    return migrations.RunSQL(
        [("SELECT inval_track(%s, key => %s)", [table, key])],
        [("SELECT inval_untrack(%s, %s)", [table, key])],
    )


class Migration(migrations.Migration):
    dependencies = [("library", "0002_database")]

    operations = [
        CreateExtension("inval"),
        track("library_publisher", "publisher:{id}"),
        track("library_author", "author:{id}"),
        track("library_tag", "tag:{id}"),
        track("library_book", "book:{id}"),
        track("library_book", "publisher:{publisher_id}:books"),
        track("library_book", "author:{author_id}:books"),
        # The table that Django made for Book.tags
        track("library_book_tags", "book:{book_id}:tags"),
        track("library_book_tags", "tag:{tag_id}:books"),
        track("library_review", "review:{id}"),
        track("library_review", "book:{book_id}:reviews"),
    ]
