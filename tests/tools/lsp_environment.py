"""A Python environment with a language-server client from the package index, made once under $WEIR_HOME/test-environments.

python() is the interpreter that has the packages; None, with a reason printed, where they cannot be had (no network, no venv).
"""
import os
import subprocess
import sys

PACKAGES = ("pygls==1.3.1", "lsprotocol==2023.0.1")


def python(home):
    folder = os.path.join(home, "test-environments", "lsp")
    program = os.path.join(folder, "bin", "python")
    mark = os.path.join(folder, "ready")
    wanted = "\n".join(PACKAGES)
    if os.path.exists(mark) and open(mark, encoding="utf-8").read() == wanted:
        return program
    for command in ([sys.executable, "-m", "venv", "--clear", folder],
                    [program, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PACKAGES]):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(f"skipped: {' '.join(command)}: {error}")
            return None
        if done.returncode:
            print(f"skipped: {' '.join(command)}: {(done.stderr or done.stdout).strip()[-300:]}")
            return None
    with open(mark, "w", encoding="utf-8") as file:
        file.write(wanted)
    return program
