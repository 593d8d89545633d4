# Counts what passed and failed over several runs, and ends with one plain line. Sourced after common.sh.
# shellcheck shell=bash

PASSED=0
FAILED=0
FAILED_NAMES=()

failed() {
  FAILED=$((FAILED + 1))
  FAILED_NAMES+=("$1")
}

# check NAME COMMAND...: one check that passes or fails as a whole. COMMAND must be a program and no
# function of the shell, in which `set -e` would be off here.
check() {
  local name=$1
  shift
  if timed "$name" "$@"; then PASSED=$((PASSED + 1)); else failed "$name"; fi
}

# nextest PROFILE ARGS...: runs it on the whole workspace, or what ARGS choose, and adds up its summary.
nextest() {
  local profile=$1 log=$AGENTOPIA_CACHE/nextest-$1.log code=0
  shift
  cargo nextest run --locked --color never --profile "$profile" "$@" 2>&1 | tee "$log" >&2 || code=$?
  _nextest_add "$profile" "$log" $code
}

# The summary is the last line of its kind; the failing tests are named again after it:
#     Summary [   2.012s] 4 tests run: 2 passed, 1 failed, 1 timed out, 1 skipped
#        FAIL [   0.066s] (2/4) crate::binary test::name
_nextest_add() {
  local profile=$1 log=$2 code=$3 summary passed bad name
  summary=$(awk '/^ +Summary \[/ { line = $0 } END { print line }' "$log")
  passed=$(_count "$summary" 'passed')
  bad=$(_count "$summary" '(failed|timed out|exec failed)')
  PASSED=$((PASSED + passed))
  FAILED=$((FAILED + bad))
  while read -r name; do FAILED_NAMES+=("$name"); done < <(
    awk '/^ +Summary \[/ { after = 1; next }
      after && /^ +[A-Z-]+ +([A-Z]+ +)?\[/ && !/^ +(PASS|SLOW|LEAK|FLAKY|TERMINATING) /' "$log" |
      sed -E 's/^[^]]*\] +(\([^)]*\) +)?//'
  )
  # It did not build, found no test, or was cut short: that is a failure of its own.
  if [ "$code" != 0 ] && [ "$bad" = 0 ]; then failed "$profile: cargo nextest ended with exit code $code"; fi
}

# _count SUMMARY KINDS: the sum of the numbers that stand before these words.
_count() { { grep -oE "[0-9]+ $2" <<<"$1" || true; } | awk '{ sum += $1 } END { print sum + 0 }'; }

# report: the names of what failed, then the closing line; false if anything failed.
report() {
  local name
  for name in "${FAILED_NAMES[@]}"; do printf 'FAILED %s\n' "$name"; done
  printf '%d passed, %d failed\n' "$PASSED" "$FAILED"
  [ "$FAILED" = 0 ]
}
