# lxcfs (Debian's package): files of /proc that show a machine of `digitalocean-sim --machines docker` its own
# memory and CPUs instead of the host's. Sourced after common.sh, apt.sh, process.sh.
# shellcheck shell=bash

_LXCFS=$STATE/lxcfs

_lxcfs_ours() { ours "$_LXCFS.pid" "$_LXCFS"; }
_lxcfs_answers() { grep -q '^MemTotal:' "$_LXCFS/proc/meminfo"; }

lxcfs_up() {
  # Where there is systemd, the package's own would serve /var/lib/lxcfs for nobody.
  have lxcfs || need_packages_stopped lxcfs
  if ! _lxcfs_ours || ! _lxcfs_answers; then
    _lxcfs_unmount
    mkdir -p "$_LXCFS"
    start_process "$_LXCFS.pid" "$_LXCFS.log" lxcfs -f -l --enable-cfs -p "$_LXCFS.run" "$_LXCFS"
  fi
  wait_for 20 _lxcfs_answers || {
    tail -n 20 "$_LXCFS.log" >&2
    die 'lxcfs did not start'
  }
  say "lxcfs: up at $_LXCFS"
}

# One that was killed leaves a mount that answers nobody.
_lxcfs_unmount() {
  if grep -qF " $_LXCFS " /proc/self/mountinfo; then umount -l "$_LXCFS"; fi
}

lxcfs_down() {
  _lxcfs_ours || say 'lxcfs: not running'
  stop_process "$_LXCFS.pid" "$_LXCFS" 10
  _lxcfs_unmount
}

lxcfs_status() {
  if _lxcfs_ours && _lxcfs_answers; then
    say "lxcfs: up at $_LXCFS (pid $(<"$_LXCFS.pid"))"
  else
    say 'lxcfs: down'
    return 1
  fi
}

lxcfs_env() {
  _lxcfs_ours || return 0
  printf 'export AGENTOPIA_TEST_LXCFS=%q\n' "$_LXCFS"
}
