from datetime import timedelta

from django.db import migrations

from inval.django import CreateInval, SetVar, Track


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]

    operations = [
        CreateInval(),
        SetVar("git_sha"),
        Track("book", key="book:{id}"),
        Track("book", key="publisher:{publisher}:books"),
        Track("book", key="owner:{publisher__owner}:books"),
        Track("book", key="price:{price}"),
        Track("book.tags", key="book:{book}:tags"),
        Track("book.tags", key="tag:{tag}:books"),
        Track("bargain", key="bargain:{pk}"),
        Track("ebook", key="ebook:{title|url}"),
        Track("publisher", key="label:{label}", changes=["label"], repeat_after=timedelta(seconds=1.5)),
        Track("publisher", columns=["owner"]),
        Track("publisher", key="owner:{owner}", field="{id}"),
        Track("team", key="teams:v", action="version"),
        Track("source", key="{team}:{$git_sha}:source"),
        Track(
            "tag",
            key="book:{book_id}:tags",
            via="SELECT book_id FROM \"Quoted Table_tags\" WHERE tag_id = {id}",
            changes=["name"],
        ),
    ]
