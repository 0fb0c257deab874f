"""The machine code of packages as tools see it: progress by kernel, the same bytes from another cache, symbols and lines for gdb."""
import os
import re
import shutil
import subprocess

import common
from common import Case, MLP


class MachineCode(Case):
    def build(self, output, *more, **options):
        text = self.write("mlp.weir", MLP)
        self.run_weir("build", text, "--random", "1", "--target", "cpu", "-o", self.path(output), *more, **options)
        return self.path(output)

    def kernels(self, package):
        return re.findall(r"^void (k_\w+)\(", self.run_weir("inspect", package, "--section", "kernels/cpu.c"), re.M)

    def test_progress_names_kernels_and_caches_leave_no_trace(self):
        first = self.build("first.wpk", "-v")
        told = re.findall(r"compiling (k_\w+)", self.errors)
        kernels = self.kernels(first)
        self.assertTrue(told and set(told) <= set(kernels), self.errors)
        data = open(first, "rb").read()
        shutil.rmtree(os.path.join(self.home, "packages"))
        self.build("second.wpk", "-v")
        self.assertNotIn("compiling k_", self.errors)  # from the objects that are there
        self.assertEqual(open(self.path("second.wpk"), "rb").read(), data)
        self.home = self.path("elsewhere")
        self.assertEqual(open(self.build("third.wpk"), "rb").read(), data)

    def test_levels_are_listed_with_reasons(self):
        checks = {check["what"]: check for check in self.json("doctor", code=(0, 3))["checks"]}
        for level in ("portable", "x86-64-v3", "x86-64-v4", "x86-64-v4-bf16", "amx", "aarch64", "aarch64-dotprod", "aarch64-i8mm", "native"):
            check = checks["cpu:" + level]
            self.assertIn(check["state"], ("ok", "absent"))
            self.assertTrue(check["text"] == "yes" or check["text"].startswith("no: "), check)
        self.assertEqual(checks["cpu:native"]["text"], "yes")

    def test_gdb_stops_in_a_kernel_and_shows_its_line(self):
        if not shutil.which("gdb"):
            print("skipped: gdb is not installed")
            self.skipTest("gdb is not installed")
        package = self.build("mlp.wpk", "--debug")
        kernels = self.kernels(package)
        commands = ["set breakpoint pending on", "set debuginfod enabled off", *[f"break {kernel}" for kernel in kernels], "run", "info line", "backtrace 1"]
        done = subprocess.run(["gdb", "-nx", "-batch", *[word for command in commands for word in ("-ex", command)], "--args", common.WEIR, "run",
                               package, "--threads", "1", "-i", "x=[1,2,3,4]"], capture_output=True, text=True, timeout=common.TIMEOUT,
                              env=common.environment(self.home), stdin=subprocess.DEVNULL)
        if "ptrace" in done.stderr and "not permitted" in done.stderr:
            print("skipped: gdb may not trace here")
            self.skipTest("gdb may not trace here")
        stopped = re.search(r"Line (\d+) of \"(.*/sources/k_\w+-\w+\.c)\" starts at address \S+ <(k_\w+)", done.stdout)
        self.assertTrue(stopped and stopped[3] in kernels, done.stdout + done.stderr)
        with open(stopped[2], encoding="utf-8") as file:
            self.assertTrue(any(f"void {stopped[3]}(" in line for line in file))
        # For tools that read code by path.
        folder = self.path("code")
        subprocess.run([common.WEIR, "run", package, "-i", "x=[1,2,3,4]"], check=True, capture_output=True,
                       env={**common.environment(self.home), "WEIR_CODE_DIR": folder})
        self.assertRegex(" ".join(os.listdir(folder)), r"^weir-Mlp-native-\w+\.so$")


if __name__ == "__main__":
    common.main()
