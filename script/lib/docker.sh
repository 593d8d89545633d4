# Docker Engine: used where one answers, else started (Debian's package). Never stops an engine
# that it did not start. Sourced after common.sh, apt.sh, process.sh.
# shellcheck shell=bash

export DOCKER_HOST=${DOCKER_HOST:-unix:///var/run/docker.sock}
# A configuration of our own: the user's ~/.docker is neither read nor written.
export DOCKER_CONFIG=$STATE/docker-config
# buildx is not part of Debian's package; the classic builder does all we need.
export DOCKER_BUILDKIT=0

_DOCKER_PID=$STATE/dockerd.pid
_DOCKER_LOG=$STATE/dockerd.log
# The pid file is also the mark by which a process is recognised as our engine.
_DOCKER_MARK=--pidfile=$STATE/dockerd.engine.pid

docker_answers() { have docker && timeout 5 docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }

docker_up() {
  private_dir "$DOCKER_CONFIG"
  if docker_answers; then
    say "docker: $(docker version --format '{{.Server.Version}}') answers at $DOCKER_HOST"
    return
  fi
  if ! have dockerd || ! have docker || ! have iptables; then
    need_packages docker.io iptables
    # On a machine with systemd the package has started its engine by now.
    if wait_for 5 docker_answers; then
      say "docker: the package's own engine answers at $DOCKER_HOST"
      return
    fi
  fi
  [ "$(id -u)" = 0 ] || die "no Docker Engine answers at $DOCKER_HOST, and only root can start one"
  case $DOCKER_HOST in
    unix://*) ;;
    *) die "no Docker Engine answers at $DOCKER_HOST; unset DOCKER_HOST to have one started here" ;;
  esac
  ours "$_DOCKER_PID" "$_DOCKER_MARK" || _dockerd_start
  timed "waiting for Docker Engine (log: $_DOCKER_LOG)" wait_for 60 docker_answers || {
    tail -n 20 "$_DOCKER_LOG" >&2
    die "Docker Engine did not start"
  }
}

# The containerd that an engine started ends with it, a moment later. An engine that is started while
# it is dying, or dead and not yet reaped, counts on it and gives up.
_containerd_gone() {
  local pid
  pid=$(cat /var/run/docker/containerd/containerd.pid 2>/dev/null) || return 0
  [ ! -e "/proc/$pid" ] || ! grep -q containerd "/proc/$pid/comm"
}

_dockerd_start() {
  say "docker: none answers at $DOCKER_HOST, starting dockerd"
  wait_for 20 _containerd_gone || say 'docker: the containerd of the engine before still runs'
  # An engine that was killed leaves its pid file, and refuses to start if that pid is taken.
  rm -f "$STATE/dockerd.engine.pid"
  start_process "$_DOCKER_PID" "$_DOCKER_LOG" dockerd "--host=$DOCKER_HOST" "$_DOCKER_MARK"
}

docker_down() {
  if ours "$_DOCKER_PID" "$_DOCKER_MARK"; then
    # Containers get their ten seconds to end, hence the long wait.
    timed 'stopping the Docker Engine started here' stop_process "$_DOCKER_PID" "$_DOCKER_MARK" 60
  else
    say 'docker: no engine started by this script is running'
  fi
}

docker_status() {
  if ! docker_answers; then
    say "docker: down ($DOCKER_HOST)"
    return 1
  fi
  local whose='not started by this script'
  if ours "$_DOCKER_PID" "$_DOCKER_MARK"; then whose="pid $(<"$_DOCKER_PID")"; fi
  say "docker: up, $(docker version --format '{{.Server.Version}}') at $DOCKER_HOST ($whose)"
}
