"""The documents whose snippets are run."""

import re
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parents[6] / "docs"


class Document:
    def __init__(self, name):
        self.name = name

    def text(self):
        return (DIRECTORY / self.name).read_text(encoding="utf-8")

    def blocks(self, language="python"):
        """Its snippets in a language, in their order."""
        return re.findall(rf"^```{language}\n(.*?)^```", self.text(), re.DOTALL | re.MULTILINE)
