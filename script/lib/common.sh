# Shared by the scripts in script/: where things are kept, how progress is told,
# how a condition is waited for. Sourced, never run.
#
# Look next at apt.sh (packages), process.sh (background parts we start), and
# docker.sh / registry.sh / postgres.sh for one real part each.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# Everything these scripts make lives here, outside of the clone.
export AGENTOPIA_CACHE=${AGENTOPIA_CACHE:-$HOME/.cache/agentopia}
# State of the background parts: pids, logs, ports, passwords.
STATE=$AGENTOPIA_CACHE/services
export ROOT STATE

# private_dir DIR: makes it, closed to others from the start.
private_dir() { (umask 077 && mkdir -p "$1"); }

mkdir -p "$AGENTOPIA_CACHE"
# Passwords are kept below it, so nobody else may look in.
private_dir "$STATE"

# say TEXT...: one progress line, on stderr, so that stdout stays for answers.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
  printf '%s: error: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# With `set -e` a script would end without a word: say where.
set -o errtrace
trap 'say "failed at ${BASH_SOURCE[0]#"$ROOT"/}:$LINENO"' ERR

# timed TEXT COMMAND...: says what is being done, and afterwards how long it took.
# The command stands alone, without `||`, so that `set -e` keeps its meaning inside of it.
timed() {
  local what=$1 before=$EPOCHREALTIME code
  shift
  say "$what ..."
  "$@"
  code=$?
  local took=$(((${EPOCHREALTIME/[.,]/} - ${before/[.,]/}) / 100000))
  if [ $code = 0 ]; then
    say "$what: done in $((took / 10)).$((took % 10)) s"
  else
    say "$what: FAILED (exit $code) after $((took / 10)).$((took % 10)) s"
  fi
  return $code
}

# wait_for SECONDS COMMAND...: true as soon as the command is, false after SECONDS.
wait_for() {
  local until=$((SECONDS + $1))
  shift
  while ! "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$until" ] || return 1
    sleep 0.1
  done
}

# locked NAME COMMAND...: one run of this machine at a time; a second one waits.
# Descriptor 9 holds the lock; whatever is started to stay must close it (process.sh does).
locked() {
  local name=$1
  shift
  exec 9>"$STATE/$name.lock"
  if ! flock --nonblock 9; then
    say "waiting for another run that holds $STATE/$name.lock"
    flock 9
  fi
  "$@"
  exec 9>&-
}

have() { command -v "$1" >/dev/null 2>&1; }

# random_word BYTES: that many random bytes, in hexadecimal.
random_word() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
