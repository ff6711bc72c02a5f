"""What this database does by itself: foreign keys that cascade, a trigger, a procedure."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("library", "0001_initial")]

    operations = [
        migrations.RunSQL(
            """
            ALTER TABLE library_book
                ADD CONSTRAINT book_publisher FOREIGN KEY (publisher_id)
                    REFERENCES library_publisher ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
                ADD CONSTRAINT book_author FOREIGN KEY (author_id)
                    REFERENCES library_author ON DELETE SET NULL DEFERRABLE INITIALLY DEFERRED;
            ALTER TABLE library_review
                ADD CONSTRAINT review_book FOREIGN KEY (book_id)
                    REFERENCES library_book ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED;
            """,
            """
            ALTER TABLE library_review DROP CONSTRAINT review_book;
            ALTER TABLE library_book DROP CONSTRAINT book_author, DROP CONSTRAINT book_publisher;
            """,
        ),
        migrations.RunSQL(
            """
            CREATE FUNCTION count_reviews() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                IF TG_OP = 'INSERT' THEN
                    UPDATE library_book SET review_count = review_count + 1 WHERE id = new.book_id;
                ELSE
                    UPDATE library_book SET review_count = review_count - 1 WHERE id = old.book_id;
                END IF;
                RETURN NULL;
            END $$;
            CREATE TRIGGER count_reviews AFTER INSERT OR DELETE ON library_review
                FOR EACH ROW EXECUTE FUNCTION count_reviews();
            """,
            """
            DROP TRIGGER count_reviews ON library_review;
            DROP FUNCTION count_reviews;
            """,
        ),
        migrations.RunSQL(
            """
            CREATE PROCEDURE raise_prices(by_publisher bigint, amount integer) LANGUAGE sql AS $$
                UPDATE library_book SET price = price + amount WHERE publisher_id = by_publisher;
            $$;
            """,
            "DROP PROCEDURE raise_prices",
        ),
    ]
