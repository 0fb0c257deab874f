"""The command line itself: help, usage, exit codes, documents made from the table, commands that need no weights."""
import json
import os
import subprocess

import common
from common import Case, ROOT, WEIR


class Help(Case):
    def commands(self):
        lines = self.run_weir("--help").split("\n")
        return [line.split()[0] for line in lines if line.startswith("  ") and not line.startswith("   ")]

    def test_every_command_has_help_with_examples(self):
        commands = self.commands()
        for wanted in ("new list pull doctor check fmt show explain run tokenize chat embed eval build inspect verify diff sign upgrade bench trace").split():
            self.assertIn(wanted, commands)
        for command in commands:
            text = self.run_weir(command, "--help")
            self.assertIn("Examples\n", text)
            self.assertIn(f"weir {command}", text)
            self.assertIn("--json", text)

    def test_reference_is_current(self):
        with open(os.path.join(ROOT, "docs", "cli.md"), encoding="utf-8") as file:
            self.assertEqual(file.read(), self.run_weir("help", "--markdown"),
                             "make it again: build/weir help --markdown > docs/cli.md")

    def test_completions(self):
        bash = self.write("weir.bash", self.run_weir("help", "--completions", "bash"))
        script = f"source {bash}; COMP_WORDS=(weir chat --temp); COMP_CWORD=2; _weir; echo ${{COMPREPLY[0]}}"
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
        self.assertEqual(done.stdout.strip(), "--temperature", done.stderr)
        self.assertIn("#compdef weir", self.run_weir("help", "--completions", "zsh"))
        self.run_weir("help", "--completions", "fish", code=2)
        self.run_weir("help", "--markdown", "--json", code=2)

    def test_debug_flags_are_listed(self):
        done = subprocess.run([WEIR, "list"], capture_output=True, text=True, env={**common.environment(self.home), "WEIR_DEBUG": "help"})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("skip-cse ", done.stdout)
        self.write("m.weir", common.MLP)
        done = subprocess.run([WEIR, "show", "m.weir"], capture_output=True, text=True, cwd=self.folder,
                              env={**common.environment(self.home), "WEIR_DEBUG": "nope"})
        self.assertEqual(done.returncode, 1)
        self.assertIn("verify", done.stderr)

    def test_version(self):
        self.assertRegex(self.run_weir("--version"), r"^weir \d+\.\d+\.\d+\n$")


class Usage(Case):
    def test_wrong_usage_is_2(self):
        for args in ([], ["chekc", "x"], ["check"], ["chat"], ["check", "--nope", "x"], ["chat", "smollm2", "-n", "zero"],
                     ["chat", "smollm2", "-n"], ["run", "smollm2", "--json=1"], ["eval", "smollm2", "accuracy", "-f", "x"],
                     ["build", "smollm2"], ["new", "a", "b"], ["embed", "minilm"]):
            self.run_weir(*args, code=2)
            self.assertTrue(self.errors or not args, args)

    def test_did_you_mean(self):
        self.run_weir("chekc", "x", code=2)
        self.assertIn("did you mean 'check'?", self.errors)
        self.run_weir("chat", "smollm2", "--temprature", "0", code=2)
        self.assertIn("did you mean --temperature?", self.errors)
        self.run_weir("tokenize", "smolm2", "a", code=1)
        self.assertIn("did you mean 'smollm2'?", self.errors)

    def test_the_world_is_3(self):
        self.run_weir("check", "nowhere.weir", code=3)
        self.run_weir("show", "nowhere.weir", code=3)
        self.run_weir("inspect", "nowhere.wpk", code=3)
        self.run_weir("run", "nowhere.wpk", "-i", "x=1", code=3)

    def test_a_full_output_is_3(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        with open("/dev/full", "wb") as full:
            done = subprocess.run([WEIR, "help", "--markdown"], stdout=full, stderr=subprocess.PIPE, env=common.environment(self.home))
        self.assertEqual(done.returncode, 3, done.stderr)

    def test_a_reader_that_leaves(self):
        done = subprocess.run(f"'{WEIR}' help --markdown | head -1", shell=True, capture_output=True, env=common.environment(self.home))
        self.assertEqual(done.stderr, b"")


class Machine(Case):
    def test_doctor(self):
        report = self.json("doctor", code=(0, 3))
        self.assertEqual({check["what"] for check in report["checks"]} & {"processor", "C compiler", "cache", "pip"},
                         {"processor", "C compiler", "cache", "pip"})
        self.assertIn("processor", self.run_weir("doctor", code=(0, 3)))

    def test_list(self):
        names = [model["name"] for model in self.json("list")]
        self.assertIn("smollm2", names)
        self.assertIn("minilm", names)

    def test_pull_of_an_unknown_name(self):
        self.run_weir("pull", "smolm2", code=1)
        self.assertIn("did you mean 'smollm2'?", self.errors)


class Texts(Case):
    def test_new_model_runs(self):
        self.run_weir("new", "first-net")
        text = open(self.path("first-net.weir"), encoding="utf-8").read()
        self.assertIn("model FirstNet", text)
        self.run_weir("check", "first-net.weir")
        self.run_weir("fmt", "--check", "first-net.weir")
        outputs = self.json("run", "first-net.weir", "--random", "1", "-i", "x=[1,2,3,4]")["outputs"]
        values = list(outputs.values())[0]
        self.assertEqual(values["shape"], [3])
        self.assertAlmostEqual(sum(values["values"]), 1, places=5)
        self.run_weir("new", "first-net", code=1)

    def test_check_reports_every_error_as_data(self):
        self.write("bad.weir", "model M {D = 4} {\n  entry a(x: f32[D]) -> f32[D] { return y; }\n  entry b(x: f32[D]) -> f32[D] { return z; }\n}\n")
        found = self.json("check", "bad.weir", code=1)
        self.assertEqual(len(found), 2, found)
        for item in found:
            self.assertTrue({"file", "line", "column", "code", "severity", "message", "notes"} <= set(item))
            self.assertRegex(item["code"], r"^W\d{4}$")
        self.assertEqual([item["line"] for item in found], [2, 3])
        self.run_weir("check", "bad.weir", code=1)
        self.assertRegex(self.errors, r"bad\.weir:2:\d+: error\[W\d{4}\]: ")
        self.assertIn("^", self.errors)
        self.assertNotIn("\033", self.errors)
        code = found[0]["code"]
        self.assertIn(code, self.run_weir("check", "--explain", code))

    def test_check_of_good_files_says_nothing(self):
        self.assertEqual(self.run_weir("check", os.path.join(common.MODELS, "smollm2.weir"), os.path.join(common.MODELS, "minilm.weir")), "")
        self.assertEqual(self.json("check", os.path.join(common.MODELS, "smollm2.weir")), [])

    def test_a_fn_that_contains_itself_is_found_unused(self):
        self.write("m.weir", "fn a(x: f32[...]) -> f32[...] { return b(x); }\nfn b(x: f32[...]) -> f32[...] { return a(x); }\n"
                             "block B {n: int} { b: B{n - 1}; }\n" + common.MLP.replace("use std.nn;", "use std.nn;\n"))
        found = self.json("check", "m.weir", code=1)
        self.assertEqual([(item["line"], item["code"]) for item in found], [(2, "W0223"), (3, "W0223")])

    def test_forgotten_parameter_braces(self):
        for text in ("model C { entry e(x: f32[4]) -> f32[4] { return x; } }", "block C { param w: f[4]; }"):
            self.write("m.weir", text)
            found = self.json("check", "m.weir", code=1)
            self.assertIn("braces hold the parameters", json.dumps(found[0]["notes"]))
            self.assertNotIn("braces hold the parameters", json.dumps(found[1:]))

    def test_a_plan_without_its_model(self):
        self.write("p.weir", "plan p for Mlp { float = f32; }\n")
        (found,) = self.json("check", "p.weir", code=1)
        self.assertIn("use \"model.weir\";", found["notes"][0]["message"])

    def test_the_models_are_laid_out(self):
        for folder in (common.MODELS, os.path.join(common.MODELS, "std"), os.path.join(ROOT, "examples")):
            texts = [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".weir")]
            self.assertEqual(self.run_weir("fmt", "--check", *texts), "")

    def test_fmt(self):
        path = self.write("m.weir", common.MLP.replace("  up:", "      up :").replace("relu(up", "relu( up"))
        self.assertEqual(self.run_weir("fmt", "--check", "m.weir", code=1), "m.weir\n")
        os.chmod(path, 0o640)
        self.run_weir("fmt", "m.weir")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o640)
        once = open(path, encoding="utf-8").read()
        self.run_weir("fmt", "--check", "m.weir")
        self.assertEqual(self.run_weir("fmt", "-", input=once.encode()), once)
        self.assertIn("/// Two layers.", once)
        self.write("bad.weir", "model {")
        self.run_weir("fmt", "bad.weir", code=1)
        self.assertEqual(open(self.path("bad.weir"), encoding="utf-8").read(), "model {")


if __name__ == "__main__":
    common.main()
