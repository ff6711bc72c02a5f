"""Books with all that makes a cache hard to keep: cascades, SET NULL, a many-to-many table, a counter that a database
trigger maintains.

Where db_constraint is False the constraint is in migration 0002, because Django of itself does not let the database
cascade. on_delete is what Django does when Django deletes.
"""

from django.db import models


class Publisher(models.Model):
    name = models.CharField(max_length=100)


class Author(models.Model):
    name = models.CharField(max_length=100)


class Tag(models.Model):
    name = models.CharField(max_length=100)


class Book(models.Model):
    title = models.CharField(max_length=100, unique=True)
    price = models.IntegerField()
    review_count = models.IntegerField(default=0)
    publisher = models.ForeignKey(Publisher, models.CASCADE, related_name="books", db_constraint=False)
    author = models.ForeignKey(Author, models.SET_NULL, null=True, related_name="books", db_constraint=False)
    tags = models.ManyToManyField(Tag, related_name="books")


class Review(models.Model):
    book = models.ForeignKey(Book, models.CASCADE, related_name="reviews", db_constraint=False)
    text = models.CharField(max_length=100)
