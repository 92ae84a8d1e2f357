# What the images' build scripts share: words, needs, and an output folder that holds either a
# whole image or none. Sourced by bash with `set -euo pipefail` and the script's folder in `here`.

# Progress for people and for `karri up`, on standard error.
say() { echo "${here##*/}: $*" >&2; }

fail() {
    say "$*"
    exit 1
}

# need PROGRAM PACKAGE...: pairs; names every Debian package that is missing, once.
need() {
    local missing=()
    while [ $# -gt 0 ]; do
        command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    [ ${#missing[@]} -eq 0 ] || fail "needs packages that are not installed: apt-get install -y ${missing[*]}"
}

# space FOLDER MEBIBYTES: fails early rather than half-way.
space() {
    local free
    free=$(df --output=avail -m "$1" | tail -n 1)
    [ "$free" -ge "$2" ] || fail "needs $2 MiB in $1, and $free MiB are free"
}

# begin OUTDIR INPUTS NAME...: sets `out` and `work` (a folder for half-made things, removed at the
# end), or ends the script when an image of the same inputs is there. Nothing but regular files is
# ever replaced: an image builder that was given a device once replaced the machine's /dev/null.
begin() {
    out=$1
    inputs=$2
    shift 2
    mkdir -p "$out"
    out=$(cd "$out" && pwd -P)
    local name
    for name in "$@" manifest.json; do
        [ ! -e "$out/$name" ] && [ ! -L "$out/$name" ] || { [ -f "$out/$name" ] && [ ! -L "$out/$name" ]; } ||
            fail "refuses to replace $out/$name: it is not a regular file"
    done
    if [ -f "$out/manifest.json" ] && grep -qF "\"inputs\": \"$inputs\"" "$out/manifest.json"; then
        say "is there already, made of the same inputs"
        exit 0
    fi
    exec 9>"$out/.lock"
    flock -n 9 || fail "another build is writing $out"
    rm -rf --one-file-system "$out"/.work.*
    work=$(mktemp -d "$out/.work.XXXXXX")
    trap 'rm -rf --one-file-system "$work"' EXIT
    trap 'exit 130' INT TERM HUP
}

# finish NAME...: puts the files of `work` in place, the manifest last: it says that all are whole.
finish() {
    local name
    rm -f "$out/manifest.json"
    for name in "$@"; do
        sync -d "$work/$name"
        mv -f "$work/$name" "$out/$name"
    done
    sync "$out"
    sync -d "$work/manifest.json"
    mv -f "$work/manifest.json" "$out/manifest.json"
    sync "$out"
    say "made in $SECONDS s: $out/manifest.json"
}

# fingerprint FOLDER PACKAGE...: what an image is made of: the scripts and the packages' versions.
fingerprint() {
    local folder=$1
    shift
    {
        dpkg-query -W "$@"
        find "$folder" "${folder%/*}/common.sh" -type f -print0 | sort -z | xargs -0 sha256sum | sed 's| .*/| |'
    } | sha256sum | cut -d ' ' -f 1
}
