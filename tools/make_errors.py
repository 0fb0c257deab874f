"""Makes docs/errors.md, the index of all diagnostics, from compiler/lang/diag.def and compiler/lang/diag_examples.txt.

    tools/make_errors.py            writes it
    tools/make_errors.py --check    exits with 1 if it is not current
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(ROOT, "compiler", "lang", "diag.def")
EXAMPLES = os.path.join(ROOT, "compiler", "lang", "diag_examples.txt")
PAGE = os.path.join(ROOT, "docs", "errors.md")
GROUPS = {"00": "Characters and words", "01": "Syntax", "02": "Names and files", "03": "Phases, types, shapes", "04": "Roles of dims",
          "05": "State", "06": "Binds and plans", "07": "Index notation and control flow", "08": "Rules", "09": "Forms without a meaning yet"}
HEAD = """# Every error of the language

<!-- Made by tools/make_errors.py from compiler/lang/diag.def and compiler/lang/diag_examples.txt. Not to be edited. -->

`weir check FILE` prints all of a text's errors, each with its code, its place and where the rule comes from; `weir explain CODE` prints an entry of
this page: the rule, a text that is refused with this code, and the same text mended. `...` in a message stands for a name, a number or a type of the
text, `<<300:x>>` in an example for 300 times x. The rules themselves are in [the language page](language/README.md). The tests check every example.
"""
STRING = r'"(?:[^"\\]|\\.)*"'
ROW = re.compile(rf"WEIR_DIAG\(\s*(\d{{4}}),\s*(\w+),\s*(\w+),\s*((?:{STRING}\s*)+),\s*((?:{STRING}\s*)+)\)")
EXAMPLE = re.compile(r"^=== (W\d{4})([^\n]*)\n(.*?)^--- mend([^\n]*)\n(.*?)(?=^=== |\Z)", re.M | re.S)
ESCAPES = {"n": "\n", "t": "\t"}


def text_of(literals):
    joined = "".join(literal[1:-1] for literal in re.findall(STRING, literals))
    return re.sub(r"\\(.)", lambda m: ESCAPES.get(m.group(1), m.group(1)), joined)


def prose(text):
    """Signs that Markdown reads are escaped outside of code only."""
    def escape(part):
        return re.sub(r"([\\*_|])", r"\\\1", part).replace("<", "&lt;")
    return "".join(part if i % 2 else escape(part) for i, part in enumerate(re.split(r"(`[^`]*`)", text)))


def entry(code, severity, message, why, examples):
    shown = re.sub(r"%[a-z]+", "...", text_of(message)).replace("%%", "%")
    mark = "" if severity == "ERROR" else f" ({severity.lower()})"
    out = f'\n### <a id="w{code}"></a>W{code}{mark}: {prose(shown)}\n\n{prose(text_of(why))}\n'
    if "W" + code not in examples:
        return out
    options, wrong, mend_options, mend = examples["W" + code]
    def under(words):
        words = words.strip()
        return {"": "", "build": ", by `weir build`"}.get(words, f", with `{words}`")
    return out + (f"\nRefused{under(options)}:\n```weir refused W{code}\n{wrong}```\nRight{under(mend_options)}:\n```weir\n{mend}```\n")


def page():
    with open(TABLE, encoding="utf-8") as file:
        source = file.read()
    with open(EXAMPLES, encoding="utf-8") as file:
        examples = {match[0]: match[1:] for match in EXAMPLE.findall(file.read())}
    rows = ROW.findall(source)
    if len(rows) != source.count("\nWEIR_DIAG("):
        sys.exit(f"{TABLE}: {source.count(chr(10) + 'WEIR_DIAG(')} rows, of which {len(rows)} are understood")
    unknown = sorted(set(examples) - {"W" + row[0] for row in rows})
    if unknown:
        sys.exit(f"{EXAMPLES}: examples of codes that are not in the table: {' '.join(unknown)}")
    out, group = [HEAD], None
    for code, severity, _, message, why in rows:
        if code[:2] != group:
            group = code[:2]
            out.append(f"\n## {GROUPS[group]}\n")
        out.append(entry(code, severity, message, why, examples))
    return "".join(out)


def main():
    text = page()
    if "--check" in sys.argv[1:]:
        with open(PAGE, encoding="utf-8") as file:
            if file.read() != text:
                sys.exit("docs/errors.md is not what the tables say: run tools/make_errors.py")
        return
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
