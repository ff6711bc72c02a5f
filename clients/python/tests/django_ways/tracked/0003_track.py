"""Which keys of the cache the rows of each table feed."""

from django.db import migrations

from inval.django import CreateInval, Track


class Migration(migrations.Migration):
    dependencies = [("library", "0002_database")]

    operations = [
        CreateInval(),
        Track("publisher", key="publisher:{id}"),
        Track("author", key="author:{id}"),
        Track("tag", key="tag:{id}"),
        Track("book", key="book:{id}"),
        Track("book", key="publisher:{publisher}:books"),
        Track("book", key="author:{author}:books"),
        Track("book.tags", key="book:{book}:tags"),
        Track("book.tags", key="tag:{tag}:books"),
        Track("review", key="review:{id}"),
        Track("review", key="book:{book}:reviews"),
    ]
