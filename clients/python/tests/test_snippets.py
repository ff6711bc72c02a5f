"""Every piece of Python in the README runs."""
import os
import re
import unittest

import database
import quiet  # noqa: F401
import servers

from inval import Cache

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "README.md")


class SnippetsTest(unittest.TestCase):
    @database.needed
    def test_readme(self):
        with open(README, encoding="utf-8") as file:
            snippets = re.findall(r"^```python\n(.*?)^```", file.read(), re.M | re.S)
        self.assertGreater(len(snippets), 5)
        with servers.RedisServer() as server, database.connect() as connection:
            names = {"read_from_database": lambda id: {"id": id}, "connection": connection}
            caches = []
            for snippet in snippets:
                code = snippet.replace("redis://127.0.0.1:6379/0", server.url)
                exec(compile(code, "README.md", "exec"), names)
                if isinstance(names.get("cache"), Cache) and names["cache"] not in caches:
                    caches.append(names["cache"])
            self.assertEqual(names["report"], {"pages": 3})
            self.assertEqual(names["profile"].fetch(8).source, "hit")
            for cache in caches:
                cache.close()


if __name__ == "__main__":
    unittest.main()
