# Installs Debian packages that are missing; does nothing where all are there.
# Sourced after common.sh.
# shellcheck shell=bash

# Marks the policy file below as ours, so that one left by a killed run is removed.
_POLICY=/usr/sbin/policy-rc.d
_POLICY_MARK='# written by agentopia script/lib/apt.sh for the length of one apt-get run'

_missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

# Chatter goes to a log, shown when something fails.
_apt() {
  local log=$AGENTOPIA_CACHE/apt.log
  DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -qq "$@" >"$log" 2>&1 </dev/null 9>&- || {
    tail -n 20 "$log" >&2
    return 1
  }
}

# The lists are fetched once per run, and not at all if they are younger than a day.
_apt_update() {
  local stamp=$AGENTOPIA_CACHE/apt-updated
  if [ -n "$(find "$stamp" -mtime -1 2>/dev/null)" ] && compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
    return
  fi
  timed 'apt-get update' _apt update
  touch "$stamp"
}

# need_packages PACKAGE...: installs those that are missing (as root; else says what to install).
need_packages() {
  local missing
  mapfile -t missing < <(_missing_packages "$@")
  [ ${#missing[@]} -gt 0 ] || return 0
  have apt-get || die "missing: ${missing[*]} (this is no Debian machine; install them by hand)"
  [ "$(id -u)" = 0 ] || die "missing: ${missing[*]}. Run this as root, or: apt-get install ${missing[*]}"
  _apt_update
  timed "installing ${missing[*]}" _apt install -y --no-install-recommends "${missing[@]}"
}

# need_packages_stopped PACKAGE...: the same, but the services that come with the packages are not
# started: Debian's docker-registry would listen everywhere without a password.
need_packages_stopped() {
  if grep -qsF "$_POLICY_MARK" "$_POLICY"; then rm -f "$_POLICY"; fi
  [ -n "$(_missing_packages "$@")" ] || return 0
  if [ "$(id -u)" != 0 ] || [ -e "$_POLICY" ]; then
    need_packages "$@"
    return
  fi
  printf '#!/bin/sh\n%s\nexit 101\n' "$_POLICY_MARK" >"$_POLICY"
  chmod 755 "$_POLICY"
  local code=0
  (need_packages "$@") || code=$?
  rm -f "$_POLICY"
  return $code
}
