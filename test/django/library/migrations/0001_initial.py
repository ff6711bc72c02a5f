from django.db import migrations, models
from django.db.models.deletion import CASCADE, SET_NULL


def table(name, *fields):
    return migrations.CreateModel(
        name,
        [("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")), *fields],
    )


def link(to, on_delete, name, **options):
    return models.ForeignKey(
        to=to, on_delete=on_delete, related_name=name, db_constraint=False, **options
    )


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        table("Publisher", ("name", models.CharField(max_length=100))),
        table("Author", ("name", models.CharField(max_length=100))),
        table("Tag", ("name", models.CharField(max_length=100))),
        table(
            "Book",
            ("title", models.CharField(max_length=100, unique=True)),
            ("price", models.IntegerField()),
            ("review_count", models.IntegerField(default=0)),
            ("publisher", link("library.publisher", CASCADE, "books")),
            ("author", link("library.author", SET_NULL, "books", null=True)),
            ("tags", models.ManyToManyField(related_name="books", to="library.Tag")),
        ),
        table(
            "Review",
            ("book", link("library.book", CASCADE, "reviews")),
            ("text", models.CharField(max_length=100)),
        ),
    ]
