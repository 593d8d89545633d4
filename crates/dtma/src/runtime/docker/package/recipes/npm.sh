# Installs an npm package into /opt/agentopia/app. Run inside the build container, without root.
# Arguments: NAME VERSION PROGRAM yes|no. The last says whether install scripts may run; PROGRAM may be empty.
# What came of it is told to the management agent by lines that begin with `@agentopia`.
set -eu
umask 022
export HOME=/tmp TMPDIR=/opt/agentopia/build/tmp npm_config_userconfig=/opt/agentopia/build/npmrc
if [ -s /opt/agentopia/build/ca.pem ]; then export NODE_EXTRA_CA_CERTS=/opt/agentopia/build/ca.pem; fi
for needed in node npm; do
  command -v "$needed" >/dev/null || { echo "@agentopia no-manager $needed"; exit 1; }
done
cd /opt/agentopia/app
scripts=--ignore-scripts
if [ "$4" = yes ]; then scripts=--foreground-scripts; fi
npm install "$scripts" --save-exact --omit=dev --no-audit --no-fund --no-progress --no-update-notifier -- "$1@$2"
node /opt/agentopia/build/finish.js "$1" "$2" "$3"
if [ -d /var/cache/agentopia ]; then echo "@agentopia cache $(du -sm /var/cache/agentopia | cut -f1)"; fi
rm -rf /opt/agentopia/build
