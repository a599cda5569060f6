# Sourced by the scripts beside it: installs Debian and Ubuntu packages that are missing, and says which.
# shellcheck shell=sh

say() { printf '%s\n' "==> $*"; }

have() { command -v "$1" >/dev/null 2>&1; }

# as_root COMMAND...: directly when root, else by sudo.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# agree QUESTION: root in a script needs no asking; anybody else is asked, and "no" where nobody can answer.
agree() {
    [ "$(id -u)" = 0 ] && return 0
    if ! [ -t 0 ]; then
        echo "$1 Nobody is there to answer; install them and run this again." >&2
        return 1
    fi
    printf '%s [Y/n] ' "$1"
    read -r answer || return 1
    case $answer in '' | [Yy]*) return 0 ;; *) return 1 ;; esac
}

installed() {
    dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'install ok installed'
}

# in_index PACKAGE: this release has it.
in_index() {
    apt-cache show "$1" >/dev/null 2>&1
}

# install_packages NAME...: a name with a trailing ? is left out where the release has no such package, and
# command:package is needed only where the command is missing.
install_packages() {
    if ! have apt-get; then
        say "no apt-get here: these must be there already: $*"
        return 0
    fi
    missing=""
    for item in "$@"; do
        name=${item%\?}
        case $name in
        *:*)
            have "${name%%:*}" && continue
            item=${item#*:}
            name=${name#*:}
            ;;
        esac
        installed "$name" || missing="$missing $item"
    done
    [ -n "$missing" ] || return 0
    say "missing packages:$(printf '%s' "$missing" | tr -d '?')"
    agree "Install them with apt-get?" || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null || return 1
    chosen=""
    for item in $missing; do
        name=${item%\?}
        if [ "$name" = "$item" ] || in_index "$name"; then
            chosen="$chosen $name"
        else
            say "this release has no package $name; what needs it is left out"
        fi
    done
    [ -n "$chosen" ] || return 0
    # shellcheck disable=SC2086 # a list of names
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $chosen </dev/null
}

BUILD_PACKAGES="cc:gcc libc6-dev make cmake ninja-build pkg-config python3 glslc spirv-tools spirv-cross libvulkan-dev libvulkan1"
DRIVER_PACKAGES="mesa-vulkan-drivers"

# A Vulkan driver, at least for the CPU; a GPU's own driver is the user's.
install_for_build() {
    # shellcheck disable=SC2086 # lists of names
    install_packages $BUILD_PACKAGES $DRIVER_PACKAGES "$@"
}
