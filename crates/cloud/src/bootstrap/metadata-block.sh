#!/bin/bash
# Closes the metadata service, which tells everybody who asks what this machine was started with, to
# containers and to every process that is not root's. Applied at each boot: rules don't outlive one.
set -euo pipefail

readonly METADATA=169.254.169.254/32

rules() { iptables --wait 10 "$@"; }

# first CHAIN RULE...: makes a rule the first one of its chain, unless it stands there already.
first() {
    rules --check "$@" 2>/dev/null || rules --insert "$@"
}

# Docker makes this chain at its start and leaves what is in it alone.
rules --new-chain DOCKER-USER 2>/dev/null || true
first DOCKER-USER --destination "$METADATA" --jump REJECT
first OUTPUT --destination "$METADATA" --match owner ! --uid-owner 0 --jump REJECT
