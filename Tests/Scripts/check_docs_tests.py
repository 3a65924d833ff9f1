#!/usr/bin/env python3
"""scripts/check-docs finds what is amiss: each of these is put into a copy of the repository."""
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
AMISS = {
    "a file": ("README.md", "See `Sources/LimitEngine/Nowhere.swift`.", "no file"),
    "a file, by its end": ("docs/ARCHITECTURE.md", "See `Engine/Nowhere.swift`.", "no file"),
    "a link": ("README.md", "[here](docs/NOWHERE.md)", "leads nowhere"),
    "an anchor": ("README.md", "[here](docs/POLICY.md#nowhere)", "no heading"),
    "a link of a decision": ("docs/decisions/0001-three-tables.md", "[x](y.md)", "leads nowhere"),
    "a make target": ("README.md", "```sh\nmake nothing\n```", "no 'make nothing'"),
    "a make target in a span": ("CONTRIBUTING.md", "Run `make nothing`.", "no 'make nothing'"),
    "a make target in CI": (".ci/run", "make nothing", "no 'make nothing'"),
    "a suite": ("docs/ARCHITECTURE.md", "| a claim | `NothingTests` |", "no 'NothingTests'"),
    "a suite in prose": ("README.md", "It is in nothingTests.", "no 'nothingTests'"),
    "a suite of the Makefile": ("Makefile", "\tswift test --filter 'NothingTests'", "no test suite"),
    "a type": ("docs/ARCHITECTURE.md", "The `Nonentity` waits.", "no 'Nonentity'"),
    "a member": ("docs/ARCHITECTURE.md", "It calls `Engine.doNothingAtAll`.", "doNothingAtAll"),
    "a type in a drawing": ("docs/ARCHITECTURE.md", "```\nA ─▶ NoSuchThing\n```", "NoSuchThing"),
    "a command": ("README.md", "```sh\nlimitctl nothing\n```", "no command 'nothing'"),
    "a command below": ("README.md", "`limitctl config nothing FILE`", "no command 'nothing'"),
    "a flag": ("README.md", "Give `--nothing`.", "no command has a flag --nothing"),
    "a flag of a command": ("README.md", "```sh\nlimitctl ping --cost 1\n```", "no flag --cost"),
    "a flag of the daemon": ("README.md", "```sh\nlimitd --json\n```", "no flag --json"),
    "a flag on the next line": ("README.md", "```sh\nlimitctl ping \\\n  --no\n```", "no flag --no"),
    "a manual page": ("docs/PROTOCOL.md", "See limitctl(7).", "no manual page"),
}
HELP = {
    "a flag": ("Use --nothing.", "no command has a flag"),
    "a file": ("See docs/NOWHERE.md.", "no file"),
    "a manual page": ("See limitd(3).", "no manual page"),
}


class CheckDocs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.copy = pathlib.Path(cls.folder.name)
        files = subprocess.run(["git", "-C", ROOT, "ls-files", "-coz", "--exclude-standard"],
                               capture_output=True, text=True, check=True).stdout.split("\0")
        for file in filter(None, files):
            if (ROOT / file).is_file():
                (cls.copy / file).parent.mkdir(parents=True, exist_ok=True)
                (cls.copy / file).write_bytes((ROOT / file).read_bytes())
        subprocess.run(["git", "init", "-q", cls.copy], check=True)

    def check(self):
        return subprocess.run([ROOT / "scripts/check-docs", self.copy], capture_output=True, text=True)

    def assert_found(self, file, before, after, what):
        path = self.copy / file
        path.write_text(after)
        try:
            done = self.check()
        finally:
            path.write_text(before)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(what, done.stderr)
        self.assertIn(file, done.stderr)

    def test_our_documents_name_only_what_exists(self):
        done = self.check()
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_what_a_document_names_must_exist(self):
        for name, (file, line, what) in AMISS.items():
            with self.subTest(name):
                before = (self.copy / file).read_text()
                self.assert_found(file, before, f"{before}\n{line}\n", what)

    def test_what_a_help_text_names_must_exist(self):
        file = "Sources/limitd/Limitd.swift"
        before = (self.copy / file).read_text()
        for name, (text, what) in HELP.items():
            with self.subTest(name):
                after = before.replace('"The policy file."', f'"The policy file. {text}"')
                after = after.replace('"The policy file"', f'"The policy file. {text}"')
                self.assertNotEqual(before, after)
                self.assert_found(file, before, after, what)


if __name__ == "__main__":
    unittest.main()
