from importlib import import_module

Migration = import_module("library.migrations.0002_database").Migration
