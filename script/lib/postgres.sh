# A private PostgreSQL cluster for tests: on loopback, with a password, without durability.
# Sourced after common.sh, apt.sh, process.sh.
# shellcheck shell=bash

_PG=$STATE/postgres # port, password, and the path of the cluster's own directory
_PG_USER=agentopia

# initdb refuses root, and root's home is closed to others: as root the cluster lives in a
# directory of its own in /var/tmp and runs as user postgres (or nobody, where there is none).
_pg_owner() {
  if [ "$(id -u)" != 0 ]; then id -un; elif id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

_pg_dir() { if [ -s "$_PG/dir" ]; then cat "$_PG/dir"; else echo /nonexistent; fi; }

# _pg TOOL ARGS...: one of PostgreSQL's programs, as the cluster's owner.
_pg() {
  local tool owner dir
  tool=$(_pg_bin)/$1
  owner=$(_pg_owner)
  dir=$(_pg_dir)
  shift
  if [ "$(id -un)" = "$owner" ]; then
    "$tool" "$@" 9>&-
  else
    (cd "$dir" && exec setpriv --reuid="$owner" --regid="$(id -g "$owner")" --clear-groups \
      env -i HOME="$dir" LANG=C.UTF-8 PATH="$PATH" PGPASSWORD="${PGPASSWORD:-}" "$tool" "$@" 9>&-)
  fi
}

# The directory of the newest installed version; Debian keeps it out of PATH.
_pg_bin() {
  local found
  found=$(compgen -G '/usr/lib/postgresql/*/bin' | sort -V | tail -n 1) && [ -n "$found" ] && echo "$found" && return
  have initdb && dirname "$(command -v initdb)"
}

# A pid alone does not answer queries: a server that was killed may stay as a zombie.
_pg_answers() { _pg_runs && [ "$(_pg_psql postgres 'select 1' 2>/dev/null)" = 1 ]; }
_pg_runs() { [ -d "$(_pg_dir)/data" ] && _pg pg_ctl -D "$(_pg_dir)/data" status >/dev/null 2>&1; }

postgres_url() {
  printf 'postgres://%s:%s@127.0.0.1:%s/agentopia\n' "$_PG_USER" "$(<"$_PG/password")" "$(<"$_PG/port")"
}

postgres_up() {
  [ -n "$(_pg_bin)" ] || need_packages_stopped postgresql
  private_dir "$_PG"
  [ -s "$_PG/password" ] || (umask 077 && random_word 16 >"$_PG/password")
  [ -e "$(_pg_dir)/data/PG_VERSION" ] || timed 'postgres: making a cluster' _pg_create
  if ! _pg_answers; then
    free_port 55432 >"$_PG/port"
    timed 'postgres: starting' _pg_start || _pg_start_anew
  fi
  say "postgres: up on 127.0.0.1:$(<"$_PG/port") (address with password: script/services env)"
}

_pg_create() {
  local dir owner
  owner=$(_pg_owner)
  dir=$(_pg_dir)
  # What is left of an earlier one; never anything that this function has not made.
  case $dir in /var/tmp/agentopia-postgres.*) rm -rf "$dir" ;; esac
  dir=$(mktemp -d /var/tmp/agentopia-postgres.XXXXXX)
  echo "$dir" >"$_PG/dir"
  install -m 600 "$_PG/password" "$dir/password"
  [ "$(id -un)" = "$owner" ] || chown -R "$owner" "$dir"
  # md5, not scram: the password is random, and tests open connections by the hundred.
  _pg initdb -D "$dir/data" -U "$_PG_USER" -A md5 --pwfile="$dir/password" --no-sync \
    -E UTF8 --locale=C.UTF-8 >/dev/null
  rm -f "$dir/password"
}

_pg_start() {
  local dir
  dir=$(_pg_dir)
  # Speed over durability.
  _pg pg_ctl -D "$dir/data" -w -t 30 -l "$dir/log" -o "-p $(<"$_PG/port") \
    -c listen_addresses=127.0.0.1 -c unix_socket_directories=$dir -c max_connections=300 \
    -c fsync=off -c synchronous_commit=off -c full_page_writes=off" start >/dev/null </dev/null || return
  local has
  has=$(_pg_psql postgres "select 1 from pg_database where datname = 'agentopia'") || return
  [ "$has" = 1 ] || _pg_psql postgres 'create database agentopia' >/dev/null
}

# Without fsync a power cut may have ruined the cluster; nothing in it is worth keeping.
_pg_start_anew() {
  tail -n 20 "$(_pg_dir)/log" >&2
  timed 'postgres: making the cluster anew' _pg_create
  timed 'postgres: starting' _pg_start || {
    tail -n 20 "$(_pg_dir)/log" >&2
    die 'PostgreSQL did not start'
  }
}

_pg_psql() {
  PGPASSWORD=$(<"$_PG/password") _pg psql -XqtA -v ON_ERROR_STOP=1 \
    -h 127.0.0.1 -p "$(<"$_PG/port")" -U "$_PG_USER" -d "$1" -c "$2"
}

postgres_down() {
  if [ -n "$(_pg_bin)" ] && _pg_runs; then
    timed 'stopping postgres' _pg pg_ctl -D "$(_pg_dir)/data" -m fast -w -t 30 stop >/dev/null
  else
    say 'postgres: not running'
  fi
}

postgres_status() {
  if [ -n "$(_pg_bin)" ] && _pg_answers; then
    say "postgres: up on 127.0.0.1:$(<"$_PG/port") (data in $(_pg_dir))"
  else
    say 'postgres: down'
    return 1
  fi
}

postgres_env() {
  if [ -n "$(_pg_bin)" ] && _pg_answers; then
    printf 'export AGENTOPIA_TEST_POSTGRES_URL=%q\n' "$(postgres_url)"
  fi
}
