"""Keeps the warnings of caches, which many tests cause, from the output."""
import logging

logging.getLogger("inval").addHandler(logging.NullHandler())
logging.getLogger("inval").propagate = False
# IsolatedAsyncioTestCase debugs: it tells what takes long on a busy machine.
logging.getLogger("asyncio").setLevel(logging.ERROR)
