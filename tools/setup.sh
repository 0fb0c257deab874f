# Sourced by ./weir and ./test: installs the system packages that are missing and builds a release tree in build/.
# Everything it prints goes to standard error. Expects $root to be the repository's root.

setup_packages() {
  local missing=() package _
  while read -r package _; do
    case "$package" in '' | '#'*) continue ;; esac
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
  done <"$root/tools/packages.txt"
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! command -v apt-get >/dev/null; then
    echo "weir: this system is not Debian or Ubuntu; please install: ${missing[*]}" >&2
    return 3
  fi
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
    echo "weir: sudo is needed once, to install the packages that Weir is built with: ${missing[*]}" >&2
  else
    echo "weir: installing ${missing[*]}" >&2
  fi
  "${as_root[@]}" apt-get update -qq >&2 &&
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

setup_build() {
  command -v dpkg-query >/dev/null && { setup_packages || return 3; }
  [ -f "$root/build/build.ninja" ] || cmake -S "$root" -B "$root/build" -G Ninja -DCMAKE_BUILD_TYPE=Release >&2 || return 3
  cmake --build "$root/build" >&2
}
