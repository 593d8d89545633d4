//! How images, variables and entries may be called, and what an address has to look like.

/// An address of the kind that is called; whether it may be called is the operator's policy.
pub(super) fn is_endpoint(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "https" | "http")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    })
}

/// What an MCP registry takes as a server's name.
#[must_use]
pub fn is_registry_name(text: &str) -> bool {
    let plain = |part: &str, more: &[u8]| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    (3..=200).contains(&text.len())
        && text
            .split_once('/')
            .is_some_and(|(space, name)| plain(space, b".-") && plain(name, b"._-"))
}

/// Whether an entry can have this slug.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes
        .next()
        .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    first
        && text.len() <= 63
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// The part of the OCI reference grammar that we accept: an optional host with port, then
/// lower-case path parts. Tags and digests stand in fields of their own.
#[must_use]
pub fn is_repository(text: &str) -> bool {
    let (host, path) = match text.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
            (Some(first), rest)
        }
        _ => (None, text),
    };
    let host_ok = host.is_none_or(|host| {
        let (name, port) = host.split_once(':').unwrap_or((host, "80"));
        let label_ok = |label: &str| {
            !(label.is_empty() || label.starts_with('-') || label.ends_with('-'))
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        name.split('.').all(label_ok) && port.parse::<u16>().is_ok()
    });
    let part_ok = |part: &str| {
        part.bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && part.bytes().all(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-')
            })
    };
    host_ok && text.len() <= 255 && path.split('/').all(part_ok)
}

/// `sha256:` and 64 lower-case hex digits.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .bytes()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    })
}

/// A tag of an image.
#[must_use]
pub fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// A POSIX environment variable name.
#[must_use]
pub fn is_env_name(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && text.len() <= 128
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

pub(super) fn is_mount_path(text: &str) -> bool {
    text.strip_prefix('/').is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .split('/')
                .all(|part| !part.is_empty() && part != "." && part != "..")
            && !text.contains([':', ',', '\0'])
    }) && !["/proc", "/sys", "/dev", "/run/dtma"].iter().any(|taken| {
        text == *taken
            || text
                .strip_prefix(taken)
                .is_some_and(|rest| rest.starts_with('/'))
    })
}
