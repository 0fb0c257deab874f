"""C files are laid out by clang-format and .clang-format; this says which are not. Versions lay out differently, so another major
version than the one below is a skip, as is a machine without it. `tests/format.py ROOT --fix` lays out what is not."""
import os
import re
import shutil
import subprocess
import sys

MAJOR = 14
FOLDERS = ("codegen", "compiler", "examples", "ir", "runtime", "tests", "tools")
SKIP = 77


def files(root):
    for folder in FOLDERS:
        for place, folders, names in os.walk(os.path.join(root, folder)):
            folders[:] = sorted(name for name in folders if not name.startswith((".", "build")))
            yield from (os.path.join(place, name) for name in sorted(names) if name.endswith((".c", ".h")))


def main(root, fix):
    program = shutil.which(f"clang-format-{MAJOR}") or shutil.which("clang-format")
    if not program:
        print("[SKIP] there is no clang-format")
        return SKIP
    version = re.search(r"version (\d+)", subprocess.run([program, "--version"], capture_output=True, text=True).stdout)
    if not version or int(version[1]) != MAJOR:
        print(f"[SKIP] layouts are those of clang-format {MAJOR}, {program} is version {version[1] if version else 'unknown'}")
        return SKIP
    found = list(files(root))
    mode = ["-i"] if fix else ["--dry-run", "-Werror"]
    done = subprocess.run([program, *mode, *found], cwd=root, capture_output=True, text=True)
    wrong = sorted(set(re.findall(r"^(.+?):\d+:\d+: error:", done.stderr, re.M)))
    for path in wrong:
        print(f"{os.path.relpath(path, root)}: not laid out; clang-format -i {os.path.relpath(path, root)}")
    if done.returncode and not wrong:
        print(done.stderr.strip())
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1]), "--fix" in sys.argv[2:]))
