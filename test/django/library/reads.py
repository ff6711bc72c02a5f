"""What the application reads, and a read-through cache for it.

The cache is as plain as such caches are: a key, the answer as JSON, and nothing that removes it. That is inval's part
(migration 0003).
"""

import json

from .models import Author, Book, Publisher, Review, Tag


class Read:
    """A query, the columns of its answer, and the key that the plain cache has it under."""

    def __init__(self, key, queryset, *columns):
        self.key = key
        self.queryset = queryset
        self.columns = columns

    def from_cacheops(self):
        return self._answer(self.queryset.all())

    def from_database(self):
        # nocache() changes what it is called on.
        return self._answer(self.queryset.all().nocache())

    def from_cache(self, redis):
        cached = redis.get(self.key)
        if cached is not None:
            return json.loads(cached)
        answer = self.from_database()
        redis.set(self.key, json.dumps(answer))
        return answer

    def _answer(self, queryset):
        return [[getattr(row, column) for column in self.columns] for row in queryset]


BOOK = ("id", "title", "price", "review_count", "publisher_id", "author_id")


def publisher_page(pk):
    yield Read(f"publisher:{pk}", Publisher.objects.filter(pk=pk), "id", "name")
    yield Read(f"publisher:{pk}:books", Book.objects.filter(publisher=pk).order_by("id"), *BOOK)


def author_page(pk):
    yield Read(f"author:{pk}", Author.objects.filter(pk=pk), "id", "name")
    yield Read(f"author:{pk}:books", Book.objects.filter(author=pk).order_by("id"), *BOOK)


def tag_page(pk):
    yield Read(f"tag:{pk}", Tag.objects.filter(pk=pk), "id", "name")
    yield Read(f"tag:{pk}:books", Book.objects.filter(tags=pk).order_by("id"), "id")


def book_page(pk):
    yield Read(f"book:{pk}", Book.objects.filter(pk=pk), *BOOK)
    yield Read(f"book:{pk}:tags", Tag.objects.filter(books=pk).order_by("id"), "id")
    yield Read(f"book:{pk}:reviews", Review.objects.filter(book=pk).order_by("id"), "id", "text")


def review_page(pk):
    yield Read(f"review:{pk}", Review.objects.filter(pk=pk), "id", "book_id", "text")


def all_reads():
    """Everything there is to read, and pages of rows that do not exist yet: their absence is cached like any answer."""
    for page, count in (publisher_page, 4), (author_page, 3), (tag_page, 4), (book_page, 8), (review_page, 4):
        for pk in range(1, count + 1):
            yield from page(pk)


def differing(answers, truth):
    return [key for key, answer in answers.items() if answer != truth[key]]
