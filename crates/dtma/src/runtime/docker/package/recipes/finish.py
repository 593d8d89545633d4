"""Says what pip installed: which program a package runs, and what the lock is.

Arguments: NAME VERSION PROGRAM, as for pypi.sh. Run by the virtual environment's Python.
"""

import hashlib
import json
import re
import sys
from importlib.metadata import distribution
from pathlib import Path

APP = Path("/opt/agentopia/app")
name, _, wanted = sys.argv[1:4]


def tell(line):
    print("@agentopia", line, flush=True)


def fail(line):
    tell(line)
    sys.exit(1)


def plain(text):
    return re.sub(r"[-_.]+", "-", text).lower()


def locked(item):
    """One line of a requirements file that takes this file of the registry and no other."""
    about = item["metadata"]
    archive = item.get("download_info", {}).get("archive_info", {})
    # pip before 23 has one `hash` in place of `hashes`.
    sha256 = archive.get("hashes", {}).get("sha256") or archive.get("hash", "").partition("sha256=")[2]
    if not sha256:
        fail(f"no-hash {about['name']}")
    return f"{plain(about['name'])}=={about['version']} --hash=sha256:{sha256}"


# As uvx chooses: the one that was asked for, or the one that is named like the package; else the only one.
scripts = [entry.name for entry in distribution(name).entry_points if entry.group == "console_scripts"]
same = [script for script in scripts if plain(script) == plain(name)]
candidates = [wanted] if wanted else same or scripts
if len(candidates) != 1 or not (APP / "bin" / candidates[0]).is_file():
    fail(f"no-program {' '.join(scripts)}")

locks = {plain(item["metadata"]["name"]): locked(item) for item in json.loads((APP / "pip-report.json").read_text())["install"]}
text = "\n".join(sorted(locks.values())) + "\n"
(APP / "requirements.lock").write_text(text)
(APP / "pip-report.json").unlink()
tell(f"program {candidates[0]}")
tell(f"lock {hashlib.sha256(text.encode()).hexdigest()}")
tell(f"integrity {locks[plain(name)].partition('--hash=')[2]}")
tell("scripts")
