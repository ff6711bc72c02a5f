"""python3 -m inval load URL | check URL: the function library of a Redis."""
from __future__ import annotations

import argparse
import sys
from typing import List, Optional

from . import library
from .client import Cache
from .errors import InvalError
from .functions import FAILURES
from .url import client_of


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="inval", description=__doc__)
    parser.add_argument("command", choices=("load", "check"),
                        help="load: load the library if there is none; check: can readers use it?")
    parser.add_argument("url", help="as in inval.redis_url: redis://127.0.0.1:6379/0")
    given = parser.parse_args(arguments)
    try:
        client = client_of(given.url, connect_timeout=5, read_timeout=5)
        with Cache(client, functions="require") as cache:
            if given.command == "load":
                print("loaded" if library.load(client) else "was there")
            print(f"version {cache.check()}")
    except (InvalError, ValueError, *FAILURES) as error:
        print(f"inval: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
