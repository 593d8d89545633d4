#!/bin/bash
# Makes this machine a tool environment: Docker, the management agent (DTMA), its enrolment.
# Its unit runs it at each boot until the machine has enrolled; running it again does no harm. Every phase
# is reported to the control plane, because nobody else sees what becomes of a machine's first start.
set -Eeuo pipefail
umask 077

readonly ETC=/etc/agentopia
readonly LIB=/usr/local/lib/agentopia
readonly TOKEN_FILE=/var/lib/agentopia/enrolment-token
readonly LOG=/var/log/agentopia-bootstrap.log
# CONTROL_PLANE, CONNECT_TO; DTMA_SHA256 and TOOL_INIT_SHA256, or DTMA_IMAGE
# shellcheck source=/dev/null
. "$ETC/bootstrap.env"

exec >>"$LOG" 2>&1

# The token never stands in an argument or the environment of a process: curl reads its header from
# a pipe. It is kept in this shell because the agent deletes the file when it has used it.
token=
if [[ -r $TOKEN_FILE ]]; then
    token=$(<"$TOKEN_FILE")
fi
authorization() { printf 'Authorization: Bearer %s\n' "$token"; }

control_plane() {
    curl --silent --show-error --fail --proto '=https' --tlsv1.2 --noproxy '*' \
        --cacert "$ETC/ca.pem" --connect-to "$CONNECT_TO" --connect-timeout 10 "$@"
}

report_body() {
    python3 -c '
import json, sys
phase, outcome, log = sys.argv[1:]
body = {"phase": phase, "outcome": outcome}
if log:
    with open(log, "rb") as file:
        body["log"] = file.read()[-6000:].decode("utf-8", "replace")
print(json.dumps(body))' "$@"
}

# report PHASE OUTCOME [LOG]. That a report is not taken stops nothing.
report() {
    report_body "$1" "$2" "${3:-}" |
        control_plane --max-time 20 --retry 3 --retry-connrefused --output /dev/null \
            --header @<(authorization) --header 'Content-Type: application/json' \
            --data-binary @- "$CONTROL_PLANE/bootstrap" ||
        echo "the report \"$1 $2\" was not taken"
}

phase=start
begin() {
    phase=$1
    echo "== $phase"
    report "$phase" started
}

finish() {
    local status=$?
    trap - EXIT
    if ((status != 0)); then
        echo "the phase $phase failed with status $status"
        report "$phase" failed "$LOG"
    fi
    exit "$status"
}
trap finish EXIT

# Tools outlive a restart of the engine, also after it was killed.
live_restore() {
    mkdir -p /etc/docker
    chmod 0755 /etc/docker
    python3 - <<'PYTHON'
import json, os
path = "/etc/docker/daemon.json"
settings = {}
if os.path.exists(path):
    with open(path) as file:
        settings = json.load(file)
if settings.get("live-restore") is not True:
    settings["live-restore"] = True
    with open(path + ".new", "w") as file:
        json.dump(settings, file, indent=2)
    os.chmod(path + ".new", 0o644)
    os.rename(path + ".new", path)
PYTHON
}

install_docker() {
    local apt=(apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=5 -q -y)
    export DEBIAN_FRONTEND=noninteractive
    "${apt[@]}" update
    "${apt[@]}" install --no-install-recommends docker.io iptables
}

wait_for_docker() {
    local tries
    for tries in {1..60}; do
        if docker info >/dev/null 2>&1; then
            echo "the engine answered after $tries tries"
            return
        fi
        sleep 1
    done
    journalctl --unit docker --no-pager --lines 40 || true
    return 1
}

# download NAME SHA256
download() {
    local new="$LIB/$1.new"
    control_plane --max-time 300 --retry 5 --retry-connrefused --output "$new" \
        "$CONTROL_PLANE/download/$1"
    echo "$2  $new" | sha256sum --check --strict
    chmod 0755 "$new"
    mv "$new" "$LIB/$1"
}

pull_image() {
    local tries
    for tries in {1..10}; do
        if docker pull --quiet "$DTMA_IMAGE"; then
            return
        fi
        echo "the image could not be pulled (try $tries)"
        sleep 6
    done
    return 1
}

# What the unit runs is this very image, by its content: what its name means may change. Tools'
# containers are started with tool-init, so that has to be a file of the machine.
take_image() {
    local image container
    pull_image
    image=$(docker image inspect --format '{{.Id}}' "$DTMA_IMAGE")
    container=$(docker create "$image")
    docker cp "$container:/usr/local/lib/agentopia/tool-init" "$LIB/tool-init.new"
    docker rm "$container" >/dev/null
    chmod 0755 "$LIB/tool-init.new"
    mv "$LIB/tool-init.new" "$LIB/tool-init"
    {
        echo "IMAGE=$image"
        docker info --format 'DOCKER_ROOT={{.DockerRootDir}}'
    } >"$ETC/dtma-image.env"
    docker run --rm --network none "$image" --version
}

# The control plane compares the provider's id of the machine with the one that it made.
name_machine() {
    local id=
    if [[ -r /var/lib/cloud/data/instance-id ]]; then
        id=$(</var/lib/cloud/data/instance-id)
    fi
    if [[ $id =~ ^[0-9]+$ ]] && ! grep -q '^machine_id' "$ETC/dtma.toml"; then
        echo "machine_id = \"$id\"" >>"$ETC/dtma.toml"
    fi
}

# The agent deletes the token when it has enrolled.
wait_for_enrolment() {
    local second
    for second in {1..300}; do
        if [[ ! -e $TOKEN_FILE ]]; then
            echo "enrolled after $second s"
            return
        fi
        sleep 1
    done
    journalctl --unit agentopia-dtma --no-pager --lines 40 || true
    return 1
}

chmod 0755 "$LIB"

begin docker
live_restore
if ! command -v dockerd >/dev/null; then
    install_docker
fi
systemctl enable --now docker
# One that came with the image runs without the setting until it reads it again.
systemctl reload docker
wait_for_docker

begin metadata
systemctl daemon-reload
systemctl enable --now agentopia-metadata-block

# An agent that can't run here, for want of a C library for instance, shows here, and not in a unit that
# is started again and again.
begin download
if [[ -n ${DTMA_IMAGE:-} ]]; then
    take_image
else
    download dtma "$DTMA_SHA256"
    download tool-init "$TOOL_INIT_SHA256"
    "$LIB/dtma" --version
fi

begin enrol
name_machine
systemctl enable --now agentopia-dtma
wait_for_enrolment
report enrol finished
