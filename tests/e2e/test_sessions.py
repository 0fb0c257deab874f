"""Steps of one session from the command line: in order, cut, packed, refused; what tools say of loops and states."""
import os

import common
from common import Case

NESTED = os.path.join(common.ROOT, "tests", "data", "nested.weir")
RANDOM = (NESTED, "--random", "3")
SOURCE = ("-e", "remember", "-i", "source=[1,2,3]")


class Sessions(Case):
    shared_home = True

    def values(self, *args):
        return self.json("run", *RANDOM, *args)["outputs"]["output"]["values"]

    def test_steps_in_order_and_in_pieces(self):
        whole = self.values(*SOURCE, "--then", "next", "-i", "tokens=[4,5,6,7]")
        self.assertEqual(self.values(*SOURCE, "--then", "next", "-i", "tokens=[4]", "--then", "next", "-i", "tokens=[5,6,7]"), whole)
        document = self.json("run", *RANDOM, *SOURCE, "-i", "source=[9]", "--then", "next", "-i", "tokens=[4,5,6,7]", "-i", "tokens=[1]")
        self.assertEqual(document["requests"][0]["outputs"]["output"]["values"], whole)
        self.assertEqual([step["entry"] for step in document["steps"]], ["remember", "next"])

    def test_wrong_orders_are_told(self):
        self.run_weir("run", *RANDOM, "-e", "next", "-i", "tokens=[1]", code=2)
        self.assertIn("step next reads what remember writes: -e remember -i ... --then next -i ...", self.errors)
        self.run_weir("run", *RANDOM, *SOURCE, "--then", "next", "-i", "tokens=[1]", "-i", "tokens=[2]", code=2)
        self.assertIn("next has 2 requests, the step before 1", self.errors)
        self.run_weir("run", *RANDOM, *SOURCE, "--then", "other", code=1)
        self.assertIn("no entry 'other'", self.errors)

    def test_loops_and_states_are_explained(self):
        step = self.json("explain", *RANDOM, "-e", "next", "--size", "T=40", "--measure")["entries"][0]
        launches = {k["launches"] for k in step["kernels"]}
        self.assertTrue({1, 40, 200} <= launches, launches)  # the inner scan has five rounds
        self.assertEqual({(s["kind"], s["symbol"], s["row_bytes"]) for s in step["states"]}, {("fixed", "", 48), ("whole", "S", 24)})
        self.assertGreater(step["measured_s"], 0)

    def test_a_step_behind_another_is_measured(self):
        self.assertEqual(self.json("bench", *RANDOM, "--prompt", "8", "--repeat", "2")["entry"], "next")


if __name__ == "__main__":
    common.main()
