"""Makes docs/errors.md, the index of all diagnostics, from compiler/lang/diag.def.

    tools/make_errors.py            writes it
    tools/make_errors.py --check    exits with 1 if it is not current
"""
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TABLE = os.path.join(ROOT, "compiler", "lang", "diag.def")
PAGE = os.path.join(ROOT, "docs", "errors.md")
GROUPS = {"00": "Characters and words", "01": "Syntax", "02": "Names and files", "03": "Phases, types, shapes", "04": "Roles of dims",
          "05": "State", "06": "Binds and plans", "09": "Forms without a meaning yet"}
HEAD = """# Every error of the language

<!-- Made by tools/make_errors.py from compiler/lang/diag.def. Not to be edited. -->

`weir check FILE` prints all of a text's errors, each with its code, its place and where the rule comes from; `weir check --explain CODE` prints a line
of this page. `...` stands for a name, a number or a type of the text. The rules themselves are in [the language page](language/README.md).
"""
STRING = r'"(?:[^"\\]|\\.)*"'
ROW = re.compile(rf"WEIR_DIAG\(\s*(\d{{4}}),\s*(\w+),\s*(\w+),\s*((?:{STRING}\s*)+),\s*((?:{STRING}\s*)+)\)")
ESCAPES = {"n": "\n", "t": "\t"}


def text_of(literals):
    joined = "".join(literal[1:-1] for literal in re.findall(STRING, literals))
    return re.sub(r"\\(.)", lambda m: ESCAPES.get(m.group(1), m.group(1)), joined)


def cell(text):
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def explanation(text):
    """Stars are escaped outside of code only."""
    return "".join(part.replace("|", "\\|") if i % 2 else cell(part) for i, part in enumerate(re.split(r"(`[^`]*`)", text)))


def page():
    with open(TABLE, encoding="utf-8") as file:
        source = file.read()
    rows = ROW.findall(source)
    if len(rows) != source.count("\nWEIR_DIAG("):
        sys.exit(f"{TABLE}: {source.count(chr(10) + 'WEIR_DIAG(')} rows, of which {len(rows)} are understood")
    out, group = [HEAD], None
    for code, severity, name, message, why in rows:
        if code[:2] != group:
            group = code[:2]
            out.append(f"\n## {GROUPS[group]}\n\n| code | message | meaning |\n|---|---|---|\n")
        shown = re.sub(r"%[a-z]+", "...", text_of(message)).replace("%%", "%")
        mark = "" if severity == "ERROR" else f" ({severity.lower()})"
        out.append(f'| <a id="w{code}"></a>W{code}{mark} | {explanation(shown)} | {explanation(text_of(why))} |\n')
    return "".join(out)


def main():
    text = page()
    if "--check" in sys.argv[1:]:
        with open(PAGE, encoding="utf-8") as file:
            if file.read() != text:
                sys.exit("docs/errors.md is not what compiler/lang/diag.def says: run tools/make_errors.py")
        return
    with open(PAGE, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
