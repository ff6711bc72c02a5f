"""The wheel and the sdist: built without a network, complete, and usable where they are
installed; and that the code is typed, and small."""
import glob
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(HERE)
LIBRARY = os.path.join(PROJECT, "..", "..", "src", "redis", "inval.lua")


def run(*command, **settings):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False, **settings)
    if done.returncode:
        raise AssertionError(f"{command}: {done.stdout}")
    return done.stdout


class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="inval")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        # setuptools writes beside the sources. The library is a link to that of the extension.
        copy = os.path.join(cls.directory, "clients", "python")
        os.makedirs(os.path.join(cls.directory, "src", "redis"))
        shutil.copy(LIBRARY, os.path.join(cls.directory, "src", "redis"))
        shutil.copytree(PROJECT, copy, symlinks=True, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
        run(sys.executable, "-c",
            "from setuptools import build_meta as b; b.build_sdist('dist'); b.build_wheel('dist')",
            cwd=copy)
        cls.wheel, = glob.glob(os.path.join(copy, "dist", "*.whl"))
        cls.sdist, = glob.glob(os.path.join(copy, "dist", "*.tar.gz"))

    def modules(self):
        return {os.path.relpath(path, os.path.join(PROJECT, "src"))
                for path in glob.glob(os.path.join(PROJECT, "src", "inval", "**", "*.py"), recursive=True)}

    def test_wheel(self):
        self.assertRegex(os.path.basename(self.wheel), r"^inval-[\d.]+-py3-none-any\.whl$")
        with zipfile.ZipFile(self.wheel) as wheel:
            names = set(wheel.namelist())
            with open(LIBRARY, "rb") as library:
                self.assertEqual(wheel.read("inval/inval.lua"), library.read())
            metadata = next(n for n in names if n.endswith(".dist-info/METADATA"))
            text = wheel.read(metadata).decode()
        self.assertEqual(self.modules() - names, set())
        self.assertIn("inval/py.typed", names)
        self.assertFalse([n for n in names if "test_" in n])
        for line in ("Name: inval", "Requires-Python: >=3.9", "Requires-Dist: redis >=4.3.4",
                     "Provides-Extra: django", "Provides-Extra: prometheus"):
            self.assertIn(line.replace(" ", ""), text.replace(" ", "").replace("(", "").replace(")", ""))

    def test_sdist(self):
        with tarfile.open(self.sdist) as sdist:
            members = {m.name.partition("/")[2]: m for m in sdist.getmembers()}
        self.assertEqual({f"src/{name}" for name in self.modules()} - set(members), set())
        for name in ("pyproject.toml", "README.md", "src/inval/py.typed"):
            self.assertIn(name, members)
        self.assertTrue(members["src/inval/inval.lua"].isreg())  # in the checkout it is a link

    def test_installed(self):
        target = os.path.join(self.directory, "target")
        with zipfile.ZipFile(self.wheel) as wheel:
            wheel.extractall(target)  # all that installing a pure wheel is
        out = run(sys.executable, "-I", "-c",
                  f"import sys; sys.path.insert(0, {target!r}); import inval, inval.library, inval.testing\n"
                  "print(inval.__file__, inval.__version__, len(inval.library.source()) > 1000)\n"
                  "print(inval.testing.MemoryCache().get_or_set('k', lambda: 5))",
                  cwd=self.directory)
        self.assertTrue(out.startswith(target), out)
        self.assertIn(" True\n5\n", out)

    def test_version_is_said_once(self):
        import inval
        self.assertIn(f"inval-{inval.__version__}-", os.path.basename(self.wheel))


class CodeTest(unittest.TestCase):
    def test_files_are_small(self):
        for path in glob.glob(os.path.join(PROJECT, "src", "inval", "**", "*.py"), recursive=True):
            with open(path, encoding="utf-8") as file:
                self.assertLessEqual(len(file.readlines()), 300, path)

    def test_types(self):
        core = sorted(glob.glob(os.path.join(PROJECT, "src", "inval", "*.py")))
        out = run(sys.executable, "-m", "mypy", "--strict", "--cache-dir", tempfile.gettempdir() +
                  "/inval-mypy", "--config-file", os.path.join(PROJECT, "pyproject.toml"), *core,
                  cwd=PROJECT)
        self.assertIn("Success", out)


if __name__ == "__main__":
    unittest.main()
