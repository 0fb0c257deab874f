"""The mends of refused programs, as packages: what the text promises of a mend holds of the code that is built from it.

Every tests/data/lang/refused/NAME.mend.weir is built with random weights and run by the program `invariance`: each request alone,
packed with others, and, where it is a step whose sequence grows, cut into calls at random. All bits must agree.
"""
import concurrent.futures
import glob
import os
import subprocess

import common
from common import Case, ROOT, WEIR

MENDS = sorted(glob.glob(os.path.join(ROOT, "tests", "data", "lang", "refused", "*.mend.weir")))
INVARIANCE = os.environ.get("WEIR_INVARIANCE", os.path.join(ROOT, "build", "tests", "invariance"))
SEED, CUTS = "1", "12"


class Mends(Case):
    def wrong(self, mend):
        """None, or what went wrong with a mend."""
        package = self.path(os.path.basename(mend)[:-len(".mend.weir")] + ".wpk")
        for command in ([WEIR, "build", mend, "--random", SEED, "--target", "cpu", "-o", package, "-q"],
                        [INVARIANCE, package, SEED, CUTS]):
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=common.environment(self.home),
                                  timeout=common.TIMEOUT)
            if done.returncode:
                return f"{os.path.basename(mend)}: {done.stdout}{done.stderr}".strip()
        self.cut += int(done.stdout.split(", ")[1].split()[0])
        return None

    def test_alone_packed_and_cut(self):
        self.cut = 0
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            wrong = [said for said in pool.map(self.wrong, MENDS) if said]
        self.assertFalse(wrong, f"{len(wrong)} of {len(MENDS)} mends\n" + "\n".join(wrong))
        self.assertGreater(len(MENDS), 80)
        self.assertGreater(self.cut, 200)


if __name__ == "__main__":
    common.main()
