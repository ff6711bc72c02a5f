from django.apps import AppConfig


class InvalConfig(AppConfig):
    """The application "inval.django": it has no models, only checks and a command."""

    name = "inval.django"
    label = "inval"
    verbose_name = "inval"

    def ready(self) -> None:
        from . import checks  # noqa: F401  registers them
