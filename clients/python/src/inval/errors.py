"""The errors of this package."""


class InvalError(Exception):
    """What all errors of this package are."""


class TemplateError(InvalError, ValueError):
    """A key template cannot be parsed, or the values given make no key."""


class KeyOutsideNamespace(InvalError, ValueError):
    """A key does not start with the namespace of its cache."""


class NotCacheable(InvalError, TypeError):
    """A value that the serializer would not give back as it was."""


class Unavailable(InvalError):
    """Redis did not answer, and the cache was made with on_error="raise", or the call cannot
    do without it."""


class NotReady(InvalError):
    """check() found that readers cannot use this Redis; the text says what to do."""


class NotStored(Exception):
    """Ends the flow of a fill by hand that stores nothing; never seen outside."""
