"""The grammars for editors: their words are the scanner's, their patterns compile, and they cut every model text into tokens."""
import json
import os
import re

import common
from common import Case, MODELS, ROOT

EDITORS = os.path.join(ROOT, "examples", "editors")


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


def scanner_words():
    """Reserved words and words that begin declarations, as the front end has them."""
    source = read(ROOT, "compiler", "lang", "syntax.c")
    def words(name):
        body = re.search(rf"{name}\[\] = \{{(.*?)NULL\}}", source, re.S).group(1)
        return set(re.findall(r'"(\w+)"', body))
    return words("lang_reserved_words"), words("lang_declaration_words")


def element_types():
    return set(re.findall(r"X\((\w+), \d+\)", read(ROOT, "ir", "type.h")))


def units():
    return set(re.findall(r"KB/s|MB/s|GB/s|TB/s|KiB|MiB|GiB|KB|MB|GB|TB|min|ns|us|ms|k|M|G|B|s|h|W", "k M G B KB MB GB TB KiB MiB GiB KB/s MB/s GB/s TB/s ns us ms s min h W"))


def texts():
    for folder in (MODELS, os.path.join(ROOT, "examples"), os.path.join(ROOT, "tests", "data", "lang")):
        for place, _, names in os.walk(folder):
            for name in sorted(names):
                if name.endswith(".weir"):
                    yield os.path.join(place, name)


class Grammar:
    """As much of a TextMate grammar's reader as ours needs: match, begin/end, include, captures."""

    def __init__(self, data):
        self.repository = data["repository"]
        self.rules = self.flatten(data["patterns"])

    def flatten(self, patterns):
        out = []
        for rule in patterns:
            if "include" in rule:
                out += self.flatten([self.repository[rule["include"][1:]]])
            elif "match" in rule or "begin" in rule:
                out.append((re.compile(rule.get("match") or rule["begin"]), rule, re.compile(rule["end"]) if "end" in rule else None,
                            self.flatten(rule.get("patterns", [])) if "end" in rule else []))
            else:
                out += self.flatten(rule.get("patterns", []))
        return out

    def line(self, line):
        """(text, scope) of each token of a line."""
        at, tokens = 0, []
        while at < len(line):
            found = [(m.start(), i, m) for i, (pattern, *_) in enumerate(self.rules) if (m := pattern.search(line, at)) and m.end() > m.start()]
            if not found:
                tokens.append((line[at:], None))
                break
            start, number, match = min(found, key=lambda f: f[:2])
            if start > at:
                tokens.append((line[at:start], None))
            rule, end = self.rules[number][1:3]
            stop = match.end()
            if end:
                inner = stop
                while True:
                    close = end.search(line, inner)
                    escape = line.find("\\", inner)
                    if escape < 0 or not close or escape > close.start():
                        break
                    inner = escape + 2
                stop = close.end() if close else len(line)
                tokens.append((line[start:stop], rule["name"]))
            elif "captures" in rule:
                place = start
                for group, capture in sorted(rule["captures"].items(), key=lambda c: match.start(int(c[0]))):
                    if match.group(int(group)) is None:
                        continue
                    begin, finish = match.span(int(group))
                    if begin > place:
                        tokens.append((line[place:begin], None))
                    tokens.append((line[begin:finish], capture["name"]))
                    place = finish
                if place < stop:
                    tokens.append((line[place:stop], None))
            else:
                tokens.append((line[start:stop], rule["name"]))
            at = stop
        return tokens


class Editors(Case):
    def setUp(self):
        super().setUp()
        self.grammar = json.loads(read(EDITORS, "weir.tmLanguage.json"))

    def test_words(self):
        reserved, free = scanner_words()
        self.assertGreater(len(reserved), 15)
        patterns = json.dumps(self.grammar["repository"]["keywords"])
        listed = set(re.findall(r"\w+", " ".join(re.findall(r"\\\\b\((.*?)\)", patterns))))
        self.assertEqual(listed, reserved)
        declared = set(re.findall(r"\w+", " ".join(re.findall(r"\\\\b\(?([a-z|]+)\)?", json.dumps(self.grammar["repository"]["declarations"])))))
        self.assertEqual(declared - reserved, free)
        vim = read(EDITORS, "vim", "syntax", "weir.vim")
        def keywords(*groups):
            return set(" ".join(" ".join(re.findall(rf"syn keyword {g} (.*)", vim)) for g in groups).split())
        self.assertEqual(keywords("weirStatement", "weirControl", "weirOperatorWord"), reserved)
        self.assertEqual(keywords("weirDeclaration"), free)
        types = element_types()
        self.assertLessEqual(types, keywords("weirType"))
        self.assertLessEqual(types, set(re.findall(r"\w+", self.grammar["repository"]["types"]["patterns"][0]["match"])))
        number = re.compile(self.grammar["repository"]["numbers"]["match"])
        for unit in units():
            self.assertEqual(number.match("12" + unit).group(4), unit)

    def test_tokens(self):
        """Every text: tokens make the lines again, comments, strings and reserved words are seen, nothing but white space and signs is left."""
        grammar, reserved = Grammar(self.grammar), scanner_words()[0]
        left = re.compile(r"^[\s{}()\[\],;:.!]*$")
        count = 0
        for path in texts():
            if path.endswith("errors.weir"):
                continue
            for number, line in enumerate(read(path).split("\n"), 1):
                where = f"{path}:{number}: {line}"
                tokens = grammar.line(line)
                self.assertEqual("".join(text for text, _ in tokens), line)
                for text, scope in tokens:
                    if scope is None:
                        self.assertTrue(left.match(text), f"{where}: {text!r}")
                    if text in reserved and not (scope or "").startswith(("comment", "string")):
                        self.assertRegex(scope, "^(keyword|storage)", where)
                    count += 1
                if "//" in line and '"' not in line:
                    self.assertTrue(tokens[-1][1].startswith("comment."), where)
        print(f"{count} tokens")
        self.assertGreater(count, 5000)

    def test_extension(self):
        package = json.loads(read(EDITORS, "vscode", "package.json"))
        json.loads(read(EDITORS, "vscode", "language-configuration.json"))
        for grammar in package["contributes"]["grammars"]:
            self.assertEqual(json.loads(read(EDITORS, "vscode", grammar["path"]))["scopeName"], grammar["scopeName"])
        self.assertEqual(package["contributes"]["languages"][0]["extensions"], [".weir"])


if __name__ == "__main__":
    common.main()
