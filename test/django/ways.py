"""The ways to write that are compared. Each is a function that changes rows of the data set below, and commits.

The order is that of the table in docs/orm.md: from what a library in the ORM sees best to what it cannot see.
"""

import io
import subprocess

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.db.transaction import atomic
from django.test import Client

from library.models import Book, Publisher, Review, Tag

# Numbers of rows are as good as given: identities start anew. Publisher 2 has books without tags, since the
# constraints of a table that Django made for tags do not cascade.
DATA = """
    TRUNCATE library_publisher, library_author, library_tag, library_book, library_book_tags, library_review
        RESTART IDENTITY;
    INSERT INTO library_publisher (name) SELECT 'Publisher ' || n FROM generate_series(1, 3) n;
    INSERT INTO library_author (name) SELECT 'Author ' || n FROM generate_series(1, 2) n;
    INSERT INTO library_tag (name) SELECT 'Tag ' || n FROM generate_series(1, 3) n;
    INSERT INTO library_book (title, price, review_count, publisher_id, author_id) VALUES
        ('Book 1', 10, 0, 1, 1), ('Book 2', 10, 0, 1, 2), ('Book 3', 10, 0, 1, NULL),
        ('Book 4', 10, 0, 2, 1), ('Book 5', 10, 0, 2, NULL), ('Book 6', 10, 0, 3, 2);
    INSERT INTO library_book_tags (book_id, tag_id) VALUES (1, 1), (1, 2), (2, 1), (3, 3), (6, 3);
    INSERT INTO library_review (book_id, text) VALUES (1, 'good'), (1, 'long'), (4, 'short');
"""

WAYS = []


def way(name):
    def register(function):
        WAYS.append((name, function))
        return function

    return register


def execute(sql, *parameters):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def psql(sql):
    subprocess.run(
        ["psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--command={sql}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def admin_action(action, *books, **confirmed):
    """What the admin's browser sends, as a superuser who has logged in."""
    client = Client()
    client.force_login(User.objects.get())
    data = {"action": action, "_selected_action": books, **confirmed}
    answer = client.post("/admin/library/book/", data)
    assert answer.status_code == 302, answer.content


# --- The ORM, a row at a time


@way("`save()`: a new row and a changed one")
def save():
    Book(title="Book 7", price=20, publisher_id=1, author_id=2).save()
    book = Book.objects.get(pk=4)
    book.publisher_id = 3
    book.save()


@way("`save()` with an `F()` expression, after `select_for_update()`")
def save_expression():
    with atomic():
        book = Book.objects.select_for_update().get(pk=1)
        book.price = F("price") + 1
        book.save()


@way("`save()` in nested `atomic()`, one of them rolled back")
def save_nested():
    with atomic():
        for pk in (1, 2, 3):
            book = Book.objects.get(pk=pk)
            book.price = 30
            try:
                with atomic():
                    book.save()
                    if pk == 2:
                        raise ValueError
            except ValueError:
                pass


@way("`get_or_create()`")
def get_or_create():
    Book.objects.get_or_create(title="Book 7", defaults={"price": 20, "publisher_id": 1})


@way("`update_or_create()`")
def update_or_create():
    Book.objects.update_or_create(title="Book 1", defaults={"price": 20})


@way("`delete()`, with Django's own cascade")
def delete():
    Publisher.objects.get(pk=1).delete()


# --- The ORM, many rows at a time


@way("`QuerySet.delete()`")
def queryset_delete():
    Book.objects.filter(author=1).delete()


@way("`QuerySet.update()`")
def queryset_update():
    Book.objects.filter(publisher=1).update(price=20)


@way("`bulk_create()`")
def bulk_create():
    Book.objects.bulk_create(Book(title=f"Book {n}", price=10, publisher_id=2) for n in (7, 8))


@way("`bulk_update()`")
def bulk_update():
    books = list(Book.objects.filter(publisher=1))
    for book in books:
        book.price += 1
    Book.objects.bulk_update(books, ["price"])


# --- The ORM, many to many


@way("many-to-many `add()`")
def tags_add():
    Book.objects.get(pk=4).tags.add(1, 2)


@way("many-to-many `remove()`")
def tags_remove():
    Book.objects.get(pk=1).tags.remove(1)


@way("many-to-many `set()`")
def tags_set():
    Book.objects.get(pk=1).tags.set([2, 3])


@way("many-to-many `clear()`")
def tags_clear():
    Tag.objects.get(pk=1).books.clear()


@way("`QuerySet.delete()` on the many-to-many table (`through`)")
def through_delete():
    Book.tags.through.objects.filter(book=1).delete()


# --- What comes with Django


@way("admin: delete the selected")
def admin_delete():
    admin_action("delete_selected", 1, 2, post="yes")


@way("admin: an action of one's own, with `queryset.update()`")
def admin_update():
    admin_action("sell_off", 1, 2)


@way("`loaddata`: a new row and a changed one")
def loaddata():
    call_command("loaddata", "new_books", verbosity=0)


# --- SQL through Django's connection


@way("SQL from Django: `UPDATE`")
def sql_update():
    execute("UPDATE library_book SET price = %s WHERE publisher_id = %s", 20, 1)


@way("SQL from Django: `INSERT … ON CONFLICT DO UPDATE`")
def sql_on_conflict():
    execute(
        """
        INSERT INTO library_book (title, price, review_count, publisher_id)
        VALUES ('Book 1', 20, 0, 1), ('Book 7', 20, 0, 1)
        ON CONFLICT (title) DO UPDATE SET price = excluded.price
        """
    )


@way("SQL from Django: `MERGE`")
def sql_merge():
    execute(
        """
        MERGE INTO library_book b
        USING (VALUES ('Book 1', 20), ('Book 2', NULL), ('Book 7', 10)) AS v (title, price) ON v.title = b.title
        WHEN MATCHED AND v.price IS NULL THEN UPDATE SET author_id = NULL
        WHEN MATCHED THEN UPDATE SET price = v.price
        WHEN NOT MATCHED THEN INSERT (title, price, review_count, publisher_id) VALUES (v.title, v.price, 0, 1)
        """
    )


@way("SQL from Django: `WITH (DELETE …) INSERT` on the many-to-many table")
def sql_writable_cte():
    execute(
        """
        WITH gone AS (DELETE FROM library_book_tags WHERE tag_id = 1 RETURNING book_id)
        INSERT INTO library_book_tags (book_id, tag_id) SELECT book_id, 3 FROM gone
        """
    )


@way("SQL from Django: `COPY … FROM`")
def sql_copy():
    rows = io.StringIO("Book 7\t10\t0\t1\nBook 8\t10\t0\t2\n")
    with connection.cursor() as cursor:
        copy = "COPY library_book (title, price, review_count, publisher_id) FROM STDIN"
        if hasattr(cursor.cursor, "copy_expert"):
            cursor.copy_expert(copy, rows)
        else:  # psycopg 3
            with cursor.copy(copy) as stream:
                stream.write(rows.read())


@way("SQL from Django: `CALL` of a stored procedure")
def sql_call():
    execute("CALL raise_prices(%s, %s)", 1, 5)


@way("SQL from Django: `TRUNCATE … CASCADE`")
def sql_truncate():
    execute("TRUNCATE library_book CASCADE")


# --- The database by itself, and others


@way("a database trigger that writes another table, fired by `save()`")
def trigger():
    Review(book_id=1, text="new").save()


@way("psql: `UPDATE`")
def psql_update():
    psql("UPDATE library_author SET name = 'Nobody' WHERE id = 1")


@way("psql: `DELETE`, with `ON DELETE CASCADE`")
def psql_cascade():
    psql("DELETE FROM library_publisher WHERE id = 2")


@way("psql: `DELETE`, with `ON DELETE SET NULL`")
def psql_set_null():
    psql("DELETE FROM library_author WHERE id = 1")
