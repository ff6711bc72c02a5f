"""Names that SQL has to quote, and every kind of relation that a rule can meet."""

from django.db import models

from inval.django import CacheManager


class Owner(models.Model):
    name = models.CharField(max_length=100)


class Publisher(models.Model):
    name = models.CharField(max_length=100)
    owner = models.ForeignKey(Owner, models.CASCADE, related_name="publishers")


class Tag(models.Model):
    name = models.CharField(max_length=100)


class Book(models.Model):
    title = models.CharField(max_length=100, db_column="The Title")
    price = models.IntegerField(default=0, db_column="price.net")
    publisher = models.ForeignKey(Publisher, models.CASCADE, related_name="books", db_column="Publisher")
    tags = models.ManyToManyField(Tag, related_name="books")

    class Meta:
        db_table = "Quoted Table"


class Bargain(Book):
    class Meta:
        proxy = True


class EBook(Book):
    size = models.IntegerField()


class Team(models.Model):
    name = models.CharField(max_length=100)


class Source(models.Model):
    team = models.ForeignKey(Team, models.CASCADE)
    status = models.CharField(max_length=20)
    amount = models.DecimalField(max_digits=12, decimal_places=4, null=True)
    at = models.DateTimeField(null=True)
    token = models.UUIDField(null=True)
    options = models.JSONField(default=dict)

    cached = CacheManager("{team}:{$git_sha}:source", ttl=300)
