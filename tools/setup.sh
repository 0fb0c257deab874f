# Sourced by ./weir and ./test: installs the system packages that are missing and builds a release tree in build/.
#
# Expects $root, the repository's root. Everything it prints goes to standard error. Plain sh: once built, a launcher costs a few
# milliseconds, most of them for one `find` that looks for sources newer than the last build.

setup_sources="CMakeLists.txt compiler ir codegen runtime"

# Whether what $1 names (weir, or all) was built from the sources as they are.
setup_is_current() {
  [ -f "$root/build/.built-$1" ] || return 1
  [ -z "$(cd "$root" && find $setup_sources ${2:-} -newer "build/.built-$1" -print -quit 2>/dev/null)" ]
}

# Names of the packages that are missing.
setup_missing() {
  have=$(dpkg-query -W -f='${Package} ${Status}\n' 2>/dev/null | sed -n 's/ install ok installed$//p')
  while read -r package _ shown; do
    case "$package" in '' | '#'*) continue ;; esac
    printf '%s\n' "$have" | grep -qxF "$package" && continue
    [ -n "$shown" ] && sh -c "$shown" >/dev/null 2>&1 </dev/null && continue
    printf '%s ' "$package"
  done <"$root/tools/packages.txt"
}

setup_packages() {
  if ! command -v dpkg-query >/dev/null; then
    # Not Debian: CMake says what it lacks, and this says what to look for.
    command -v cmake >/dev/null && command -v ninja >/dev/null && return 0
    echo "weir: this system is neither Debian nor Ubuntu; please install: $(sed -n 's/^\([a-z][^ ]*\).*/\1/p' "$root/tools/packages.txt" | tr '\n' ' ')" >&2
    return 3
  fi
  missing=$(setup_missing)
  [ -z "$missing" ] && return 0
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "weir: these packages are needed and only root can install them: $missing" >&2
      return 3
    fi
    as_root=sudo
    echo "weir: sudo is needed once, to install the packages that Weir is built with: $missing" >&2
  else
    echo "weir: installing $missing" >&2
  fi
  $as_root apt-get update -qq >&2 &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2 && return 0
  echo "weir: these packages could not be installed: $missing" >&2
  return 3
}

setup_configure() {
  [ -f "$root/build/build.ninja" ] && return 0
  cmake -S "$root" -B "$root/build" -G Ninja -DCMAKE_BUILD_TYPE=Release >&2
}

# Builds $1 (weir, or all); one process at a time.
setup_build() {
  setup_packages || return 3
  mkdir -p "$root/build"
  (
    command -v flock >/dev/null && flock 9
    setup_is_current "$1" "${2:-}" && exit 0
    : >"$root/build/.building-$1" # what is edited while it builds is newer than this
    setup_configure && cmake --build "$root/build" --target "$1" >&2 && mv "$root/build/.building-$1" "$root/build/.built-$1"
  ) 9>"$root/build/.lock" && return 0
  echo "weir: the build failed" >&2
  return 3
}
