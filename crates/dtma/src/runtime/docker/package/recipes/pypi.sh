# Installs a package of PyPI into a virtual environment at /opt/agentopia/app. Run inside the build container,
# without root. Arguments: NAME VERSION PROGRAM yes|no. The last says whether packages may be built from their
# sources, which runs code of theirs; PROGRAM may be empty.
# What came of it is told to the management agent by lines that begin with `@agentopia`.
set -eu
umask 022
export HOME=/tmp TMPDIR=/opt/agentopia/build/tmp PIP_CONFIG_FILE=/opt/agentopia/build/pip.conf
command -v python3 >/dev/null || { echo "@agentopia no-manager python3"; exit 1; }
python3 -m pip --version >/dev/null 2>&1 || { echo "@agentopia no-manager pip"; exit 1; }
if [ -s /opt/agentopia/build/ca.pem ]; then
  # Beside the authorities that are trusted anyway, not in place of them.
  for known in /etc/ssl/certs/ca-certificates.crt \
    "$(python3 -c 'from pip._vendor import certifi; print(certifi.where())' 2>/dev/null)"; do
    if [ -s "$known" ]; then cat "$known"; fi
  done >/tmp/ca.pem
  cat /opt/agentopia/build/ca.pem >>/tmp/ca.pem
  export PIP_CERT=/tmp/ca.pem
fi
app=/opt/agentopia/app
python3 -m venv --without-pip "$app"
binary=--only-binary=:all:
if [ "$4" = yes ]; then binary=--prefer-binary; fi
python3 -m pip --python "$app/bin/python" install --no-input --disable-pip-version-check --progress-bar=off \
  --root-user-action=ignore "$binary" --report "$app/pip-report.json" -- "$1==$2"
"$app/bin/python" /opt/agentopia/build/finish.py "$1" "$2" "$3"
if [ -d /var/cache/agentopia ]; then echo "@agentopia cache $(du -sm /var/cache/agentopia | cut -f1)"; fi
rm -rf /opt/agentopia/build
