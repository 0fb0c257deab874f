"""tests/device/gpu-check without a GPU: a dry run on the simulator, which ends in a whole table."""
import os
import subprocess
import sys

import common
from common import Case


class GpuCheck(Case):
    def test_dry_run(self):
        script = os.path.join(common.ROOT, "tests", "device", "gpu-check")
        env = dict(common.environment(self.home), WEIR=common.WEIR)
        done = subprocess.run([sys.executable, script, "--device", "sim", "--cases", "1", "--no-bench", "-o", self.path("table.md")],
                              capture_output=True, text=True, env=env, timeout=common.TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for word in ("| what | result |", "| commit |", "| zoo | 1 of 1", "| outcome | all good |"):
            self.assertIn(word, done.stdout)
        with open(self.path("table.md"), encoding="utf-8") as file:
            self.assertEqual(file.read(), done.stdout)


if __name__ == "__main__":
    common.main()
