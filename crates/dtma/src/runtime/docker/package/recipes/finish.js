// Says what npm installed: which program a package runs, what the lock is, and who wanted to run scripts.
// Arguments: NAME VERSION PROGRAM, as for npm.sh. Runs where node_modules is.
const { createHash } = require("node:crypto");
const { readFileSync, writeSync } = require("node:fs");
const { join } = require("node:path");

const [name, version, wanted] = process.argv.slice(2);
const tell = (line) => writeSync(1, `@agentopia ${line}\n`);
const fail = (line) => {
  tell(line);
  process.exit(1);
};

const about = JSON.parse(readFileSync(join("node_modules", name, "package.json"), "utf8"));
if (about.version !== version) fail(`other-version ${about.version}`);

// As npx chooses: the one that was asked for, the only one, or the one that is named like the package.
const last = name.split("/").pop();
const bin = typeof about.bin === "string" ? { [last]: about.bin } : about.bin || {};
const names = Object.keys(bin);
const isOne = new Set(Object.values(bin)).size === 1;
const program = wanted || (isOne ? (names.includes(last) ? last : names[0]) : last);
if (!names.includes(program)) fail(`no-program ${names.join(" ")}`);

const text = readFileSync("package-lock.json");
const packages = JSON.parse(text).packages;
const place = `node_modules/${name}`;
const scripted = Object.keys(packages).filter((key) => packages[key].hasInstallScript);
tell(`program ${program}`);
tell(`lock ${createHash("sha256").update(text).digest("hex")}`);
tell(`integrity ${(packages[place] || {}).integrity || ""}`);
tell(`scripts ${scripted.map((key) => key.split("node_modules/").pop()).join(" ")}`);
