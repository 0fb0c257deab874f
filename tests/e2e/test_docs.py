"""The pages say what is true: commands of the tutorial, of debugging and of the README are run and what they print is compared, excerpts of models are in the
models, links lead somewhere, the error index is current.

In a ```console block a line that begins with `$ ` is a command; the lines behind it are what a terminal shows, standard output and errors in
either order. `...` stands for anything: alone on a line for any lines, within a line for any text. Numbers with a fraction are compared with
a tolerance, for processors round differently. A ```weir NAME block is a file that the reader writes; it must be the file of that name in
examples/ if there is one. In docs/language every ```weir block is a program that is checked, and ```weir refused CODE one that is refused; elsewhere
any other ```weir block is an excerpt of a model. Blocks of other kinds are not run.
"""
import json
import os
import re
import subprocess
import sys

import common
from common import Case, MODELS, ROOT, WEIR, environment

NUMBER = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")
ZOO = ("smollm2", "minilm")
BUILD = os.path.dirname(os.path.abspath(WEIR))


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def pages():
    """Every page of the repository, by its path."""
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if not f.startswith((".", "build"))]
        for name in files:
            if name.endswith(".md"):
                yield os.path.relpath(os.path.join(folder, name), ROOT)


def blocks(text):
    """(info string, contents, line) of each fenced block."""
    for match in re.finditer(r"^```([^\n`]*)\n(.*?)^```$", text, re.M | re.S):
        yield match.group(1).split(), match.group(2), text.count("\n", 0, match.start()) + 1


def commands(contents):
    """(command, expected lines) of a console block."""
    found = []
    for line in contents.rstrip("\n").split("\n"):
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return found


def line_matches(wanted, seen):
    numbers = NUMBER.findall(wanted)
    pattern = re.escape(NUMBER.sub("\0", wanted)).replace(re.escape("..."), ".*").replace(re.escape("\0"), f"({NUMBER.pattern})")
    match = re.fullmatch(pattern, seen)
    if not match:
        return False
    return all(abs(float(a) - float(b)) <= 1e-5 + 1e-3 * abs(float(a)) for a, b in zip(numbers, match.groups()))


def matches(wanted, seen):
    """Whether the lines |seen| are what the page shows."""
    if not wanted:
        return not seen
    if wanted[0] == "...":
        return any(matches(wanted[1:], seen[i:]) for i in range(len(seen) + 1))
    return bool(seen) and line_matches(wanted[0], seen[0]) and matches(wanted[1:], seen[1:])


class Page(Case):
    """Runs a page from top to bottom, in a folder laid out as the page says."""

    def prepare(self):
        """A folder like a checkout's: build/, a folder to work in, `weir` on PATH."""
        os.symlink(BUILD, self.path("build"))
        os.makedirs(self.path("tutorial"))
        os.symlink(os.path.join(ROOT, "examples"), self.path("tutorial/examples"))
        os.makedirs(self.path("bin"))
        for place in ("bin/weir", "weir", "tutorial/weir"):
            os.symlink(os.path.abspath(WEIR), self.path(place))
        self.env = environment(self.home)
        self.env.update(PATH=self.path("bin") + os.pathsep + os.environ.get("PATH", ""), NO_COLOR="1")
        self.unfetched = [name for name in ZOO if not self.fetch(name)]

    def fetch(self, name):
        """Weights come from the user's cache, or from the network once."""
        if not common.fetched(name):
            return False
        os.symlink(os.path.join(common.USER_HOME, "models", name), os.path.join(self.home, "models", name))
        return True

    def reason_to_skip(self, command):
        lacking = [name for name in self.unfetched if name in command]
        if lacking:
            return f"no weights of {lacking[0]}"
        program = command.split()[0]
        if program.startswith("../build/") and not os.path.exists(self.path(os.path.join("tutorial", program))):
            return f"{program} is not built"
        return None

    def run_command(self, where, command, wanted):
        done = subprocess.run(["sh", "-c", command], cwd=self.path("tutorial"), env=self.env, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=common.TIMEOUT)
        out, err = done.stdout, done.stderr
        orders = [(first + ("\n" if first and second and not first.endswith("\n") else "") + second).rstrip("\n").split("\n") if first + second
                  else [] for first, second in ((out, err), (err, out))]
        self.assertTrue(any(matches(wanted, seen) for seen in orders),
                        f"{where}: $ {command}\n--- the page says\n" + "\n".join(wanted) + f"\n--- printed\n{out}{err}")

    def run_page(self, path):
        self.prepare()
        ran = 0
        for info, contents, line in blocks(read(path)):
            if len(info) == 2 and info[0] == "weir":
                self.write(os.path.join("tutorial", info[1]), contents)
                kept = os.path.join(ROOT, "examples", info[1])
                if os.path.exists(kept):
                    self.assertEqual(contents, read(kept), f"{path}:{line}: differs from examples/{info[1]}")
            if info != ["console"]:
                continue
            for command, wanted in commands(contents):
                reason = self.reason_to_skip(command)
                if reason:
                    print(f"skipped: {path}:{line}: {command}: {reason}")
                    continue
                self.run_command(f"{path}:{line}", command, wanted)
                ran += 1
        self.assertGreater(ran, 0, path)

    def test_tutorial(self):
        self.run_page("docs/tutorial.md")

    def test_debugging(self):
        self.run_page("docs/debugging.md")

    def test_readme(self):
        """What it prints, and its first command, greedy and short; the second command runs this test."""
        self.run_page("README.md")
        shown = re.findall(r"^\./weir chat smollm2 -p \"([^\"]*)\"", read("README.md"), re.M)
        self.assertEqual(len(shown), 1)
        if "smollm2" in self.unfetched:
            self.skipTest("no weights of smollm2")
        answer = self.run_weir("chat", "smollm2", "-p", shown[0], "--temperature", "0", "-n", "8")
        self.assertGreater(len(answer.split()), 3, answer)


class Texts(Case):
    def test_models_shown(self):
        """What a page shows of a model is really there: in models/, examples/, or as a file that the page has the reader write."""
        kept = ""
        for folder in (MODELS, os.path.join(ROOT, "examples")):
            for place, _, files in os.walk(folder):
                kept += "".join(read(os.path.join(place, name)) for name in sorted(files) if name.endswith(".weir"))
        for path in ("README.md", "docs/architecture.md"):
            for info, contents, line in blocks(read(path)):
                if info == ["weir"]:
                    for part in contents.split("\n\n"):
                        self.assertIn(part.strip("\n"), kept, f"{path}:{line}")

    def test_examples(self):
        """Each example is without mistakes and laid out."""
        folder = os.path.join(ROOT, "examples")
        texts = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".weir")]
        self.assertTrue(texts)
        self.run_weir("check", *texts)
        self.run_weir("fmt", "--check", *texts)

    def test_language_pages(self):
        """Each program of the pages about the language is checked: ```weir blocks pass, ```weir refused CODE gives that error and no other."""
        count = {}
        for path in sorted(pages()):
            if os.path.dirname(path) != os.path.join("docs", "language"):
                continue
            for info, contents, line in blocks(read(path)):
                if not info or not info[0].startswith("weir"):
                    continue
                where = f"{path}:{line}"
                self.assertTrue(info == ["weir"] or (info[:2] == ["weir", "refused"] and len(info) == 3), f"{where}: {' '.join(info)}")
                text = self.write(f"line{line}.weir", contents)
                found = json.loads(self.run_weir("check", "--json", text, code=(0, 1)))
                self.assertEqual({d["code"] for d in found}, set(info[2:]), f"{where}: {[d['message'] for d in found]}")
                count[path] = count.get(path, 0) + 1
        print(" ".join(f"{os.path.basename(path)}: {n}" for path, n in count.items()))
        self.assertGreater(count["docs/language/README.md"], 5)
        self.assertGreater(count["docs/language/reference.md"], 25)

    def test_grammar_words(self):
        """The reference has the grammar whole: every rule that it names is there, and every word of the scanner."""
        text = read("docs/language/reference.md")
        grammar = re.search(r"```ebnf\n(.*?)```", text, re.S).group(1)
        named = set(re.findall(r"^(\w+)\s*=", grammar, re.M))
        bare = re.sub(r'"[^"]*"|\(\*.*?\*\)', " ", grammar)
        helpers = {"names", "paths", "path", "name", "values", "exprs", "params", "args", "subs", "targets", "call", "role", "patterns", "alternatives",
                   "NUMBER", "STRING", "FILE"}
        self.assertEqual(set(re.findall(r"[A-Za-z]\w*", bare)) - named - helpers, set())
        source = read("compiler/lang/syntax.c")
        for words in ("lang_reserved_words", "lang_declaration_words"):
            for word in re.findall(r'"(\w+)"', re.search(rf"{words}\[\] = \{{(.*?)NULL\}}", source, re.S).group(1)):
                self.assertIn(f'"{word}"', grammar)

    def test_links(self):
        """Links of pages lead to files of the repository."""
        broken = []
        for path in pages():
            text = re.sub(r"^```.*?^```$", "", read(path), flags=re.M | re.S)
            for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)):
                target = target.split("#")[0]
                if target and "://" not in target and not os.path.exists(os.path.join(ROOT, os.path.dirname(path), target)):
                    broken.append(f"{path}: {target}")
        self.assertEqual(broken, [])

    def test_error_index(self):
        done = subprocess.run([sys.executable, os.path.join(ROOT, "tools", "make_errors.py"), "--check"], capture_output=True, text=True,
                              timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    common.main()
