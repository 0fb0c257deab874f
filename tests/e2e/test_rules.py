"""Rules as a user meets them: a model's own rule applied and explained, a wrong one refused, endless ones stopped."""
import os
import re

import common

MODEL = """use std.nn;

fn swiglu(x: f[...], g: f[...]) -> f[...] { return silu(x) * g; }

RULES
block Gate {D: int} (x: f[D]) -> f[D] {
  up, gate: Linear{D, D};
  g = gate(x);
  return g * sigmoid(g) * up(x);
}

model Gated {D = 8, layers = 3} {
  blocks: Gate{D}[layers];
  entry forward(x: f32[D]) -> f32[D] {
    y = f(x);
    for block in blocks { y = y + block(y); }
    return f32(y);
  }
}

plan exact for Gated { rules = exact; }
plan none for Gated { rules = none; }
"""
RULE = "rule silu_gate(x: f[...], g: f[...]): inexact { x * sigmoid(x) * g => swiglu(x, g); }\n"
RUN = ("run", "gated.weir", "--random", "1", "-i", "x=[1,-2,3,-4,5,-6,7,-8]")


class Rules(common.Case):
    shared_home = True

    def model(self, rules=""):
        self.write("gated.weir", MODEL.replace("RULES", rules))

    def values(self, *args):
        return self.json(*RUN, *args)["outputs"]["output"]["values"]

    def explain(self, *args):
        return self.json("explain", "gated.weir", "--random", "1", "--rules", *args)["rules"]

    def test_a_rule_of_the_model_applies(self):
        self.model(RULE)
        fired = self.explain()
        own = [item for item in fired if item["rule"] == "silu_gate"]
        self.assertEqual(sum(item["count"] for item in own), 3, fired)  # small blocks are inlined where they are called
        self.assertEqual(own, fired)  # it comes before the library's rule for its inner part
        self.assertFalse(own[0]["library"] or own[0]["exact"])
        self.assertEqual((own[0]["rule_line"], own[0]["line"]), (5, 10))
        self.assertTrue(own[0]["file"].endswith("gated.weir"))
        text = self.run_weir("explain", "gated.weir", "--random", "1", "--rules")
        self.assertIn("silu_gate", text)
        self.assertIn("(gated.weir:5)", text)
        self.assertIn("(gated.weir:10), 3 times", text)
        self.assertIn("RULES", self.run_weir("explain", "gated.weir", "--random", "1"))

    def test_answers_stay_the_same(self):
        self.model(RULE)
        with_rules, without = self.values(), self.values("--plan", "none")
        for a, b in zip(with_rules, without):
            self.assertAlmostEqual(a, b, delta=1e-5 * (1 + abs(b)))
        self.assertEqual(self.values("--plan", "exact"), without)

    def test_plans_choose(self):
        self.model()
        self.assertEqual({item["rule"] for item in self.explain()}, {"silu_of_sigmoid"})
        self.assertEqual(self.explain("--plan", "exact"), [])
        self.assertEqual(self.explain("--plan", "none"), [])
        self.assertIn("none: the plan says so", self.run_weir("explain", "gated.weir", "--random", "1", "--rules", "--plan", "none"))

    def test_a_wrong_rule_is_refused(self):
        self.model("rule gate(x: f[...], s: float): exact { x * s => s * x + 0; }\n")
        for args in (("check", "gated.weir"), RUN):
            self.run_weir(*args, code=1)
            self.assertIn("gated.weir:5:6: error[W0805]: rule gate is wrong", self.errors)
            self.assertIn("the left side is", self.errors)
        self.assertEqual(self.json("check", "gated.weir", code=1)[0]["code"], "W0805")

    def test_endless_rules_are_named(self):
        self.model("rule turn(x: f[...], y: f[...]): exact { x + y => y + x; }\n")
        self.run_weir("check", "gated.weir")
        self.run_weir(*RUN, code=1)
        self.assertIn("error[W0807]: rules never come to an end", self.errors)
        self.assertIn("turn", self.errors)

    def test_the_page_is_true(self):
        with open(os.path.join(common.ROOT, "docs", "language", "rules.md"), encoding="utf-8") as file:
            page = file.read()
        for block in re.findall(r"^```weir\n(.*?)^```$", page, re.M | re.S):
            self.run_weir("check", self.write("page.weir", block))
        refused = re.findall(r"^\| `(rule .*?)` \|", page, re.M)
        self.assertGreater(len(refused), 5)
        for text in refused:
            if "y + x" not in text:  # found when it is applied
                self.run_weir("check", self.write("page.weir", text + "\n"), code=1)

    def test_a_test_is_remembered(self):
        self.model(RULE)
        self.run_weir(*RUN)
        self.run_weir(*RUN, "-v")
        self.assertNotIn("testing rules", self.errors)


if __name__ == "__main__":
    common.main()
