"""Tools around a model's text: pictures, reference pages, new projects, error codes, checking many files."""
import glob
import json
import os
import time
import xml.etree.ElementTree as ET

import common
from common import Case, MODELS, ROOT

SVG = "{http://www.w3.org/2000/svg}"
DEEP = """use std.nn;
/// A layer
/// with a way around it.
block Layer {D: int} (x: f[..., D]) -> f[..., D] {
  norm: RMSNorm{D};
  mlp: SwiGLU{D, 2 * D};
  return x + mlp(norm(x));
}
/// A model for this test.
model Deep {n = 30, D = 8} {
  dim T: seq in 2..=64 where T % 2 == 0;
  layers: Layer{D}[n];
  side: [for i in 0..3: Linear{D, D}];
  /// Runs it.
  entry run(x: f32[T, D], k: i32[T] in 0..5) -> (y: f32[T, D], z: f32[T, D]) {
    h = f(x);
    for layer in layers { h = layer(h); }
    g = h;
    for s in side { g = g + relu(s(g)); }
    return f32(h), f32(g) + spread(f32(k), D);
  }
}
plan small for Deep { store **: f16; }
bind other for Deep { **: "m.{**}"; }
"""
STATES = """dim T: seq;
block Keep {D: int} (x: f32[T, D]) -> f32[T, D] {
  state rows: f32[D] over T;
  rows = append(rows, x);
  return x;
}
model M {D = 4} {
  dim T: seq in 1..=64;
  keeps: Keep{D}[2];
  state total: f32[D] = 0;
  step add(x: f32[D]) -> f32[D] { total = total + x; return total; }
  step run(x: f32[T, D]) -> f32[D] { y = x; for k in keeps { y = k(y); } return last(y); }
}
"""


def numbers(element, *names):
    return [float(element.get(n)) for n in names]


class Picture(Case):
    def draw(self, *args):
        self.run_weir("show", *args, "--svg", "p.svg")
        with open(self.path("p.svg"), encoding="utf-8") as file:
            self.text = file.read()
        return ET.fromstring(self.text)

    def boxes(self, root):
        return [numbers(r, "x", "y", "width", "height") for r in root.iter(SVG + "rect") if r.get("class") in ("box", "group")]

    def check(self, root):
        """Boxes are apart or one in the other; texts do not run over each other or out of the page."""
        boxes = self.boxes(root)
        width, height = (float(v) for v in root.get("viewBox").split()[2:])
        for i, (x, y, w, h) in enumerate(boxes):
            self.assertTrue(0 <= x and 0 <= y and x + w <= width and y + h <= height, boxes[i])
            for a, b, c, d in boxes[:i]:
                apart = x >= a + c or a >= x + w or y >= b + d or b >= y + h
                inside = a <= x and b <= y and x + w <= a + c and y + h <= b + d
                within = x <= a and y <= b and a + c <= x + w and b + d <= y + h
                self.assertTrue(apart or inside or within, f"{(x, y, w, h)} over {(a, b, c, d)}")
        spans = []
        for text in root.iter(SVG + "text"):
            x, y = numbers(text, "x", "y")
            size = 11 if text.get("class") == "label" else 13 if text.get("class") in ("title", "repeat") else 12
            wide = len(text.text) * size * 0.602
            spans.append((x - wide if text.get("class") == "repeat" else x, y - size * 0.8, wide, size, text.text))
        for i, (x, y, w, h, words) in enumerate(spans):
            self.assertLessEqual(x + w, width, words)
            for a, b, c, d, other in spans[:i]:
                self.assertTrue(x >= a + c or a >= x + w or y >= b + d or b >= y + h, f"{words!r} over {other!r}")

    def test_folded(self):
        self.write("deep.weir", DEEP)
        root = self.draw("deep.weir")
        self.check(root)
        folded = [t.text for t in root.iter(SVG + "text") if t.get("class") == "repeat"]
        self.assertEqual(folded, ["\u00d7 30", "\u00d7 3"])
        titles = [t.text for t in root.iter(SVG + "text") if t.get("class") == "title"]
        self.assertIn("layers.0..=29: Layer", titles)
        labels = {t.text for t in root.iter(SVG + "text") if t.get("class") == "label"}
        self.assertIn("h: f32[T, 8]", labels)
        boxes = len(self.boxes(root))
        first = self.text
        self.assertEqual(len(self.boxes(self.draw("deep.weir", "--set", "n=300"))), boxes)
        self.draw("deep.weir")
        self.assertEqual(self.text, first)

    def test_every_model(self):
        names = sorted(glob.glob(os.path.join(MODELS, "*.weir"))) + sorted(glob.glob(os.path.join(ROOT, "examples", "*.weir")))
        drawn = 0
        for name in names:
            if json.loads(self.run_weir("check", "--json", name, code=(0, 1))):
                continue
            self.check(self.draw(name))
            drawn += 1
        print(f"{drawn} of {len(names)} models drawn")
        self.assertGreater(drawn, 3)

    def test_of_one_entry(self):
        self.write("m.weir", STATES)
        self.check(self.draw("m.weir", "-e", "run"))
        self.run_weir("show", "m.weir", "--svg", "q.svg", "-e", "none", code=1)
        self.run_weir("show", "m.weir", "--svg", "q.svg", "--form", "graph", code=2)
        self.assertFalse(os.path.exists(self.path("q.svg")))


class Page(Case):
    def test_markdown(self):
        self.write("deep.weir", DEEP)
        page = self.run_weir("doc", "deep.weir")
        for wanted in ("# Deep\n\nA model for this test.\n", "| `n` | `30` | `n = 30` |", "| `T` | seq | 2 | 64 | 2 |", "### Entry `run`\n\nRuns it.\n",
                       "| in | `k` | `i32[T]` | 0 to 4 |", "| out | `z` | `f32[T, 8]` |", "layers.0..=29", "(30 alike)", "plan small for Deep",
                       "bind other for Deep", "### `Layer`\n\nA layer\nwith a way around it.\n"):
            self.assertIn(wanted, page)
        count = 30 * (8 + 3 * 8 * 16) + 3 * 64
        self.assertIn(f"with {count:,} elements", page)
        self.assertEqual(page, self.run_weir("doc", "deep.weir"))
        self.assertNotIn(self.folder, page)
        more = self.run_weir("doc", "deep.weir", "--set", "n=2")
        self.assertIn("layers.0..=1", more)

    def test_states(self):
        self.write("m.weir", STATES)
        page = self.run_weir("doc", "m.weir")
        self.assertIn("keeps 32 bytes for each row of its sequence and 16 bytes beside", page)
        self.assertIn("it changes 2 states", page)

    def test_html(self):
        self.write("deep.weir", DEEP.replace("A model for this test.", "Less than <none> & `more < less`."))
        self.run_weir("doc", "deep.weir", "--html", "-o", "deep.html")
        with open(self.path("deep.html"), encoding="utf-8") as file:
            text = file.read()
        ET.fromstring(text.replace("<!DOCTYPE html>\n", "").replace('<meta charset="utf-8">', ""))
        self.assertIn("Less than &lt;none&gt; &amp; <code>more &lt; less</code>.", text)
        self.assertIn("# Deep", self.json("doc", "deep.weir")["text"])

    def test_every_model(self):
        for name in sorted(glob.glob(os.path.join(MODELS, "*.weir"))):
            if not json.loads(self.run_weir("check", "--json", name, code=(0, 1))):
                self.assertTrue(self.run_weir("doc", name).startswith("# "), name)


class New(Case):
    def test_project(self):
        self.assertEqual(self.json("new", "my-net", "--project")["model"], "MyNet")
        texts = [os.path.join("my-net", n) for n in ("model.weir", "layers.weir")]
        self.run_weir("check", *texts)
        self.run_weir("fmt", "--check", *texts)
        outputs = self.json("run", texts[0], "--random", "1", "-i", "x=[1,2,3,4]")["outputs"]
        self.assertEqual(outputs["output"]["shape"], [3])
        with open(self.path("my-net/README.md"), encoding="utf-8") as file:
            lines = [line.split("#")[0].split()[1:] for line in file if line.startswith("    weir ")]
        self.assertEqual([words[0] for words in lines], ["check", "fmt", "run", "show", "doc", "build"])
        outside, self.folder = self.folder, self.path("my-net")
        for words in lines:
            self.run_weir(*words)
        self.folder = outside
        self.run_weir("new", "my-net", "--project", code=1)


class Check(Case):
    def test_codes(self):
        text = self.run_weir("explain", "W0402")
        self.assertIn("Refused:", text)
        self.assertEqual(text, self.run_weir("check", "--explain", "W0402"))
        got = self.json("explain", "W0402")
        self.assertIn("mean(x, over = B)", got["example"])
        self.assertIn("mean(x, over = D)", got["mend"])
        self.run_weir("explain", "W9999", code=2)

    def test_many_files(self):
        """All mistakes of all files; the JSON form; each mistake once."""
        self.write("a.weir", "let x = 1\nlet y = z;\n")
        self.write("b.weir", 'use "lib.weir";\nmodel M {} { entry e(x: f32[4]) -> f32[4] { return rleu(x); } }\n')
        self.write("lib.weir", "fn g(x: f[...]) -> f[...] { return q; }\n")
        got = json.loads(self.run_weir("check", "--json", "a.weir", "b.weir", "lib.weir", code=1))
        self.assertEqual([(os.path.basename(d["file"]), d["line"], d["code"]) for d in got],
                         [("a.weir", 1, "W0102"), ("b.weir", 2, "W0210"), ("lib.weir", 1, "W0210")])
        for d in got:
            self.assertEqual(set(d) - {"end_line", "end_column"}, {"file", "line", "column", "code", "severity", "message", "notes"})
        self.run_weir("check", "a.weir", "b.weir", "lib.weir", code=1)
        self.assertEqual(self.errors.count("[W0210]"), 2)

    def test_speed(self):
        """A text of 10,000 lines in 0.3 s; the whole zoo in 1 s. Generous here: the machine may be busy."""
        lines = ["use std.nn;", "model Big {D = 8} {"]
        lines += [f"  l{i}: Linear{{D, D}};" for i in range(3000)]
        lines += ["  entry run(x: f32[D]) -> f32[D] {", "    h = f(x);"]
        lines += [line for i in range(3000) for line in (f"    a{i} = relu(l{i}(h));", f"    h = h + a{i};")]
        lines += ["    return f32(h);", "  }"] + ["  // so that it has ten thousand lines"] * (9999 - 9006) + ["}"]
        self.write("big.weir", "\n".join(lines) + "\n")
        started = time.time()
        self.run_weir("check", "big.weir")
        big = time.time() - started
        names = sorted(glob.glob(os.path.join(MODELS, "**", "*.weir"), recursive=True))
        started = time.time()
        self.run_weir("check", *names, code=(0, 1))
        zoo = time.time() - started
        print(f"10,000 lines in {big:.2f} s, {len(names)} files of the zoo in {zoo:.2f} s")
        self.assertLess(big, 3)
        self.assertLess(zoo, 10)


if __name__ == "__main__":
    common.main()
