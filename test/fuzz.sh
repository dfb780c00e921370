#!/usr/bin/env bash
# Runs every fuzz target of the module, one after the other.
#   FUZZTIME=30s     time for each target
#   FUZZBUDGET=300   seconds for all targets together: each gets its share when that is less than FUZZTIME
# A target that fails leaves its input in testdata/fuzz; commit it with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go}
seconds=${FUZZTIME:-30s}
seconds=${seconds%s}

# Lines of "package-directory target". `go test -list` would have to build every package to say the same.
mapfile -t targets < <(grep -rHoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . |
  sed -E 's#/[^/]+_test\.go:func # #' | sort)
if ((${#targets[@]} == 0)); then
  echo "no fuzz targets"
  exit 0
fi
if [[ -n ${FUZZBUDGET:-} ]]; then
  share=$((FUZZBUDGET / ${#targets[@]}))
  ((share < seconds)) && seconds=$((share > 0 ? share : 1))
fi

failed=()

# Fuzzes the target. On a busy machine the fuzzing engine may miss its own deadline and report "context deadline exceeded"
# without an input: that alone is tried a second time.
fuzz() {
  local out status=0
  out=$("$go" test -run='^$' -fuzz="^${name}\$" -fuzztime="${seconds}s" "$dir" 2>&1) || status=$?
  printf '%s\n' "$out"
  ((status == 0)) && return 0
  [[ $out == *"context deadline exceeded"* && $out != *"Failing input"* ]] && return 1
  failed+=("$dir $name")
  return 0
}

echo "${#targets[@]} fuzz targets, ${seconds}s each"
for target in "${targets[@]}"; do
  read -r dir name <<<"$target"
  echo "-- $dir $name"
  fuzz || fuzz || failed+=("$dir $name")
done
if ((${#failed[@]})); then
  printf 'failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
