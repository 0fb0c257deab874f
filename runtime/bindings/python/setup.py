"""Puts libweir.so, and the libraries beside the C library that it needs, into the wheel, which thereby needs nothing but itself.

$WEIR_LIBRARY names the library; `cmake --build BUILD --target weir_wheel` sets it.
"""
import os
import re
import shutil
import subprocess

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1
    from wheel.bdist_wheel import bdist_wheel

SYSTEM = re.compile(r"^(libc|libm|libdl|libpthread|librt|ld-linux[^.]*|linux-vdso|libgcc_s)\.so")


def needed(library):
    """Paths of the libraries that |library| is linked with, those of every system left out."""
    listing = subprocess.run(["ldd", library], check=True, capture_output=True, text=True).stdout
    for line in listing.splitlines():
        found = re.match(r"\s*(\S+) => (/\S+)", line)
        if found and not SYSTEM.match(found.group(1)):
            yield found.group(1), found.group(2)


class BuildPy(build_py):
    def run(self):
        super().run()
        library = os.environ.get("WEIR_LIBRARY")
        if not library or not os.path.exists(library):
            raise SystemExit("WEIR_LIBRARY must name libweir.so: build it with `cmake --build BUILD --target weir_shared`")
        folder = os.path.join(self.build_lib, "weir")
        shutil.copy(os.path.realpath(library), os.path.join(folder, "libweir.so.0"))
        for name, path in needed(library):
            shutil.copy(os.path.realpath(path), os.path.join(folder, name))


class BdistWheel(bdist_wheel):
    """No code of CPython's own: one wheel for every Python 3 of this platform."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return "py3", "none", super().get_tag()[2]


class Binary(Distribution):
    def has_ext_modules(self):
        return True


setup(cmdclass={"build_py": BuildPy, "bdist_wheel": BdistWheel}, distclass=Binary)
