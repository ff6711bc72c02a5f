from django.contrib import admin
from django.db.models import F

from .models import Book


@admin.action(description="Sell the selected books at half the price")
def sell_off(modeladmin, request, queryset):
    queryset.update(price=F("price") / 2)


@admin.register(Book)
class BookAdmin(admin.ModelAdmin):
    actions = [sell_off]
