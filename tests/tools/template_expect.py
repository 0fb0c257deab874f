"""Computes what Jinja itself makes of tests/data/text/templates, set up as chat templates are run in practice.

Reads cases.json and the NAME.jinja files it mentions, and puts "expected" or "error" into every case. Needs jinja2; the
tests only read its result.
"""
import json
import pathlib
from datetime import datetime, timezone

import jinja2
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

FOLDER = pathlib.Path(__file__).parent.parent / "data" / "text" / "templates"
NOW = datetime(2024, 7, 26, 9, 5, 0, tzinfo=timezone.utc)


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def environment():
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = NOW.strftime
    return env


def main():
    env, results = environment(), []
    for case in json.loads((FOLDER / "cases.json").read_text()):
        source = case["source"] if "source" in case else (FOLDER / (case["template"] + ".jinja")).read_text()
        result = {key: case[key] for key in case if key not in ("expected", "error")}
        try:
            result["expected"] = env.from_string(source).render(**case.get("variables", {}))
        except Exception as error:
            result["error"] = type(error).__name__ + ": " + str(error)
        results.append(result)
    (FOLDER / "cases.json").write_text(json.dumps(results, indent=1) + "\n")
    print(len(results), "cases,", sum("error" in r for r in results), "of them errors")


main()
