//! What a tool's last words mean, for whoever has to mend it. Pure.
//!
//! Servers are written by many people in many languages, and most of what goes wrong is said in one of a few
//! ways. A line that fits none of them is shown as it is, and nothing is made up about it.

/// What was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Meaning {
    /// The line that says so.
    pub(super) line: String,
    /// What it means, and what to do.
    pub(super) advice: String,
}

/// Parts of lines, in lower case, and what they mean; the first one that fits counts.
const KNOWN: [(&[&str], &str); 10] = [
    (
        &[
            "not a tty",
            "not a terminal",
            "inappropriate ioctl for device",
            "raw mode is not supported",
        ],
        "it wants a terminal, which a server has not: give its version in the catalog entry the argument that makes \
         it a server (often `serve`, `mcp` or `--stdio`)",
    ),
    (
        &["exec format error"],
        "the program is for another processor: the image has to be made for the machine's architecture \
         (linux/amd64, unless its size says otherwise)",
    ),
    (
        &[
            "read-only file system",
            "erofs",
            "permission denied",
            "eacces",
            "operation not permitted",
        ],
        "it does what it may not: the file system is read-only but for /tmp and its volume, and it is not root; \
         give the catalog entry a volume where it writes, or set where it writes to a path below the volume",
    ),
    (
        &[
            "out of memory",
            "memoryerror",
            "cannot allocate memory",
            "enomem",
        ],
        "it needs more memory than it may have: raise `memory_bytes` in the catalog entry's resources",
    ),
    (
        &["no space left on device", "enospc"],
        "the disk or a limit of it is full: remove data of tools, or take a larger size of machine",
    ),
    (
        &["eaddrinuse", "address already in use"],
        "it opens a port twice, or one that something else in its container has: look at its settings for ports",
    ),
    (
        &[
            "cannot find module",
            "modulenotfounderror",
            "importerror",
            "command not found",
            "no such file or directory",
            "enoent",
        ],
        "something that it needs is not in the image, or its command or a path in its settings is wrong",
    ),
    (
        &[
            "certificate verify failed",
            "self-signed certificate",
            "self signed certificate",
            "unable to get local issuer certificate",
            "unknownissuer",
        ],
        "it does not trust the certificate of a server that it calls: its image lacks certificates (on Debian the \
         package ca-certificates), or the server's own one is not public",
    ),
    (
        &[
            "enotfound",
            "getaddrinfo",
            "name or service not known",
            "temporary failure in name resolution",
            "econnrefused",
            "connection refused",
            "network is unreachable",
            "etimedout",
        ],
        "it can't reach a server that it calls: look at the address in its settings, and at what it may reach",
    ),
    (
        &[
            "401 unauthorized",
            "403 forbidden",
            "invalid api key",
            "invalid token",
            "bad credentials",
            "authentication failed",
            "unauthenticated",
        ],
        "the service that it uses does not take the key that it was given: set the secret anew \
         (`agentopia secrets set`) and restart the tool",
    ),
];

/// Words that say that something has to be given.
const MISSING: [&str; 8] = [
    "required",
    "missing",
    "not set",
    "must be set",
    "must be provided",
    "undefined",
    "please set",
    "not found in environment",
];

/// What the last of `lines` mean, each advice once, the newest line first. `unset` are the variables that the tool
/// knows and that have no value.
pub(super) fn meanings(lines: &[String], unset: &[String]) -> Vec<Meaning> {
    let mut found: Vec<Meaning> = Vec::new();
    for line in lines.iter().rev() {
        let advice = meaning(line, unset);
        if let Some(advice) = advice
            && !found.iter().any(|known| known.advice == advice)
        {
            let line = line.clone();
            found.push(Meaning { line, advice });
        }
    }
    found
}

fn meaning(line: &str, unset: &[String]) -> Option<String> {
    if let Some(name) = unset.iter().find(|name| has_word(line, name)) {
        return Some(format!(
            "it names {name}, which has no value: `agentopia tools update TOOL --secret {name}=SECRET_NAME`"
        ));
    }
    let lower = line.to_lowercase();
    let says_missing = MISSING.iter().any(|word| lower.contains(word));
    if says_missing && let Some(name) = variable(line) {
        return Some(format!(
            "it misses the variable {name}, of which the catalog entry knows nothing: add it to the entry's secrets \
             or settings"
        ));
    }
    if lower.starts_with("usage:") {
        return Some(
            "it prints how it is used in place of serving: the arguments in the catalog entry are not those that it \
             takes"
                .to_owned(),
        );
    }
    KNOWN
        .iter()
        .find(|(parts, _)| parts.iter().any(|part| lower.contains(part)))
        .map(|(_, advice)| (*advice).to_owned())
}

/// Whether `word` stands in `line` by itself.
fn has_word(line: &str, word: &str) -> bool {
    words(line).any(|it| it == word)
}

/// The first word of `line` that looks like an environment variable.
fn variable(line: &str) -> Option<&str> {
    words(line).find(|word| {
        word.len() > 3
            && word.contains('_')
            && word
                .bytes()
                .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
    })
}

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Option<String> {
        meaning(line, &["GITHUB_TOKEN".to_owned()])
    }

    #[test]
    fn what_programs_usually_say_is_understood() {
        for (line, part) in [
            (
                "Error: GITHUB_TOKEN environment variable is required",
                "update TOOL --secret GITHUB_TOKEN=",
            ),
            (
                "KeyError: 'GITHUB_TOKEN'",
                "GITHUB_TOKEN, which has no value",
            ),
            ("SLACK_TEAM_ID must be set", "knows nothing"),
            ("the input device is not a TTY", "terminal"),
            ("exec /usr/bin/node: exec format error", "architecture"),
            (
                "Error: EROFS: read-only file system, mkdir '/app/logs'",
                "volume",
            ),
            (
                "FATAL ERROR: Reached heap limit - JavaScript heap out of memory",
                "memory_bytes",
            ),
            (
                "Error: listen EADDRINUSE: address already in use :::3000",
                "port twice",
            ),
            (
                "ModuleNotFoundError: No module named 'mcp'",
                "not in the image",
            ),
            (
                "requests.exceptions.SSLError: certificate verify failed",
                "certificates",
            ),
            (
                "Error: getaddrinfo ENOTFOUND api.example.com",
                "can't reach",
            ),
            ("HTTP 401 Unauthorized", "set the secret anew"),
            ("usage: server [-h] --root PATH", "arguments"),
        ] {
            let advice = one(line).unwrap_or_default();
            assert!(advice.contains(part), "{line}: {advice:?}");
        }
    }

    #[test]
    fn nothing_is_made_up_about_other_lines() {
        for line in [
            "",
            "listening on port 8080",
            "MY_GITHUB_TOKEN_OLD was ignored",
            "INFO: 12 tools loaded",
            "a field is required",
        ] {
            assert_eq!(one(line), None, "{line}");
        }
    }

    #[test]
    fn the_newest_line_comes_first_and_each_advice_once() {
        let lines = ["permission denied: /a", "EACCES /b", "GITHUB_TOKEN missing"];
        let lines = lines.map(str::to_owned);
        let found = meanings(&lines, &["GITHUB_TOKEN".to_owned()]);
        let shown: Vec<&str> = found.iter().map(|it| it.line.as_str()).collect();
        assert_eq!(shown, ["GITHUB_TOKEN missing", "EACCES /b"]);
    }
}
