# Background parts that outlive the script: started in a session of their own, with a pid file,
# and ended only after the pid is proved to be still ours. Sourced after common.sh.
# shellcheck shell=bash

# ours PIDFILE WORD: is the process recorded there alive, and is WORD one of its arguments?
# A pid may have been given to somebody else since, hence the second question.
ours() {
  local pid
  [ -s "$1" ] || return 1
  pid=$(<"$1")
  [ -r "/proc/$pid/cmdline" ] && tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF -- "$2"
}

# start_process PIDFILE LOG COMMAND...: detached, stdin closed, output appended to LOG. Nothing else that is
# open here stays open there: a lock that somebody holds around this script would be held for ever.
start_process() {
  local pidfile=$1 log=$2
  shift 2
  # shellcheck disable=SC2016  # expanded by the inner bash, which becomes the process itself
  setsid --fork bash -c '
    echo $$ >"$1"
    shift
    for fd in /proc/$$/fd/*; do
      if [ "${fd##*/}" -gt 2 ]; then eval "exec ${fd##*/}>&-"; fi
    done
    exec "$@"' start "$pidfile" "$@" </dev/null >>"$log" 2>&1 9>&-
}

_gone() { ! ours "$@"; }

# stop_process PIDFILE WORD SECONDS: SIGTERM, and SIGKILL when that did not help in time.
stop_process() {
  local pidfile=$1 word=$2 seconds=$3
  if ours "$pidfile" "$word"; then
    kill -TERM "$(<"$pidfile")"
    if ! wait_for "$seconds" _gone "$pidfile" "$word"; then
      say "pid $(<"$pidfile") did not end within $seconds s: SIGKILL"
      kill -KILL "$(<"$pidfile")"
      wait_for 5 _gone "$pidfile" "$word" || return 1
    fi
  fi
  rm -f "$pidfile"
}

# port_taken PORT: does anything listen on 127.0.0.1 there?
port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port FIRST: the first port from FIRST on which nothing listens.
free_port() {
  local port
  for ((port = $1; port < $1 + 100; port++)); do
    port_taken "$port" || {
      echo "$port"
      return
    }
  done
  die "no free port between $1 and $port"
}
