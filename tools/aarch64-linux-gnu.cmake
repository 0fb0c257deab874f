# A toolchain file: the runtime for 64-bit Arm on a Debian or Ubuntu machine of another kind. It needs gcc-aarch64-linux-gnu,
# libjansson-dev:arm64 and libsodium-dev:arm64 (docs/kernels.md, tests/e2e/test_aarch64.py):
#   cmake -S . -B build-aarch64 -DCMAKE_TOOLCHAIN_FILE=tools/aarch64-linux-gnu.cmake -DWEIR_RUNTIME_ONLY=ON
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
