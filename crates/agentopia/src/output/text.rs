//! Small pieces of text: times, sizes, and foreign text made harmless.

use std::time::Duration;

use bytesize::ByteSize;
use chrono::{DateTime, Utc};

/// Takes out what could move the cursor or change what was written before: every control
/// character but tab and line end, and Unicode's direction controls.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\n' | '\t' => c,
            c if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                '\u{fffd}'
            }
            c => c,
        })
        .collect()
}

/// A span in its largest unit, at most days: `3h`.
fn span(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86400),
    }
}

/// How long ago something was.
pub(crate) fn ago(now: DateTime<Utc>, at: DateTime<Utc>) -> String {
    match (now - at).to_std() {
        Ok(past) if past.as_secs() == 0 => "just now".to_owned(),
        Ok(past) => format!("{} ago", span(past)),
        // The server's clock is ahead of ours.
        Err(_) => "just now".to_owned(),
    }
}

/// When something ends.
pub(crate) fn ending(now: DateTime<Utc>, at: Option<DateTime<Utc>>) -> String {
    match at {
        None => "never".to_owned(),
        Some(at) => match (at - now).to_std() {
            Ok(left) => format!("in {}", span(left)),
            Err(_) => "ended".to_owned(),
        },
    }
}

/// A number of bytes for people.
pub(crate) fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// Something that may be missing.
pub(crate) fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The beginning of a text on one line, for tables.
pub(crate) fn short(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > LONGEST {
        let cut: String = line.chars().take(LONGEST - 3).collect();
        return cut.trim_end().to_owned() + "...";
    }
    line.to_owned()
}

/// Words with commas in between.
pub(crate) fn joined(words: impl IntoIterator<Item = impl ToString>) -> String {
    words
        .into_iter()
        .map(|word| word.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Names and values of one thing, a line each; empty values are left out.
pub(crate) fn fields(fields: &[(&str, String)]) -> String {
    let shown = || fields.iter().filter(|(_, value)| !value.is_empty());
    let width = shown().map(|(name, _)| name.len()).max().unwrap_or(0);
    shown()
        .map(|(name, value)| {
            format!(
                "{:<width$}  {}",
                format!("{name}:"),
                clean(value),
                width = width + 1
            )
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_one_unit() {
        let now = DateTime::UNIX_EPOCH + chrono::Duration::days(10);
        for (seconds, expected) in [
            (0, "just now"),
            (-5, "just now"),
            (59, "59s ago"),
            (3661, "1h ago"),
            (2 * 86400 + 5, "2d ago"),
        ] {
            let at = now - chrono::Duration::seconds(seconds);
            assert_eq!(ago(now, at), expected);
        }
        assert_eq!(ending(now, None), "never");
        assert_eq!(
            ending(now, Some(now - chrono::Duration::seconds(1))),
            "ended"
        );
        assert_eq!(ending(now, Some(now + chrono::Duration::hours(3))), "in 3h");
    }

    #[test]
    fn fields_are_aligned_and_empty_ones_left_out() {
        let text = fields(&[
            ("a", "1".into()),
            ("no", String::new()),
            ("long", "2".into()),
        ]);
        assert_eq!(text, "a:     1\nlong:  2");
    }

    #[test]
    fn long_texts_are_cut_for_tables() {
        assert_eq!(short("one\ntwo"), "one");
        assert_eq!(short(&"ü".repeat(60)), "ü".repeat(60));
        assert_eq!(short(&"ü".repeat(61)), "ü".repeat(57) + "...");
        assert_eq!(short(""), "");
    }

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(bytes(256 << 20), "256.0 MiB");
        assert_eq!(bytes(512), "512 B");
    }

    #[test]
    fn foreign_text_can_not_reach_the_terminal() {
        let text = clean("a\u{1b}]0;title\u{7}b\r\u{202e}c\td\n");
        assert!(!text.contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']));
        assert!(text.ends_with("c\td\n"));
    }
}
