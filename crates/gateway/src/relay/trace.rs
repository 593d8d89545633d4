//! Which trace a call belongs to (W3C Trace Context, level 1): the one that its client names, in
//! `params._meta` (2026-07-28 reserves the keys) or in HTTP headers, or a new one. Its id stands in the
//! audit and goes on to the server, so that one call can be followed through all that it passes.
//!
//! What is no `traceparent` is taken for none, as that specification wants.

use std::sync::atomic::{AtomicU64, Ordering};

use agentopia_domain::Ambient;
use agentopia_mcp::{Envelope, Field, Splice};
use http::{HeaderMap, HeaderName, HeaderValue};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Belong to a `traceparent` and go where it goes.
const COMPANIONS: [HeaderName; 2] = [
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
];
/// `00-<trace id>-<parent id>-<flags>`.
const LENGTH: usize = 55;

/// A `traceparent`, and where it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trace {
    parent: [u8; LENGTH],
    from: From,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// The message has it, and keeps it.
    Message,
    Headers,
    Us,
}

impl Trace {
    pub(crate) fn of(message: &Envelope, headers: &HeaderMap, new: &NewTraces) -> Self {
        let said = message.text(Field::MetaTraceparent);
        if let Some(parent) = said.as_deref().and_then(parse) {
            let from = From::Message;
            return Self { parent, from };
        }
        let header = headers.get(TRACEPARENT).and_then(|it| it.to_str().ok());
        match header.and_then(parse) {
            Some(parent) => Self {
                parent,
                from: From::Headers,
            },
            None => Self {
                parent: new.make(),
                from: From::Us,
            },
        }
    }

    /// 32 hexadecimal digits.
    pub(crate) fn id(&self) -> [u8; 32] {
        let mut id = [0; 32];
        id.copy_from_slice(&self.parent[3..35]);
        id
    }

    fn text(&self) -> &str {
        // Was checked or made as ASCII.
        std::str::from_utf8(&self.parent).unwrap_or_default()
    }

    /// Into the message as well, where it came by headers: a server on standard input has none.
    pub(super) fn write<'s>(&'s self, out: Splice<'s>) -> Splice<'s> {
        match self.from {
            From::Headers => out.set(Field::MetaTraceparent, self.text()),
            From::Message | From::Us => out,
        }
    }

    pub(super) fn add_headers(&self, given: &HeaderMap, map: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_bytes(&self.parent) {
            map.insert(TRACEPARENT, value);
        }
        if self.from == From::Headers {
            for name in COMPANIONS {
                if let Some(value) = given.get(&name) {
                    map.insert(name, value.clone());
                }
            }
        }
    }
}

fn parse(text: &str) -> Option<[u8; LENGTH]> {
    let bytes: [u8; LENGTH] = text.as_bytes().try_into().ok()?;
    let is_hex = |range: std::ops::Range<usize>| {
        let mut digits = bytes[range].iter();
        digits.all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_something = |range: std::ops::Range<usize>| bytes[range].iter().any(|it| *it != b'0');
    let dashes = [2, 35, 52].iter().all(|place| bytes[*place] == b'-');
    let good = dashes
        && bytes.starts_with(b"00")
        && (is_hex(3..35) && is_something(3..35))
        && (is_hex(36..52) && is_something(36..52))
        && is_hex(53..55);
    good.then_some(bytes)
}

/// Makes ids that nobody else has: they are no secrets, so that the kernel need not be asked for each.
pub(crate) struct NewTraces {
    /// Random, one for each eight bytes.
    seeds: [u64; 3],
    next: AtomicU64,
}

impl NewTraces {
    pub(crate) fn new(ambient: &Ambient) -> Self {
        let seeds = [0; 3].map(|_| u64::from_le_bytes(ambient.random()));
        let next = AtomicU64::new(0);
        Self { seeds, next }
    }

    /// A new trace that nobody asked to be sampled.
    fn make(&self) -> [u8; LENGTH] {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 24];
        for (eight, seed) in random.chunks_exact_mut(8).zip(self.seeds) {
            eight.copy_from_slice(&mix(seed, number).to_le_bytes());
        }
        let mut parent = *b"00-00000000000000000000000000000000-0000000000000000-00";
        // 16 and 8 bytes always fill 32 and 16 digits.
        let _fits = hex::encode_to_slice(&random[..16], &mut parent[3..35]);
        let _fits = hex::encode_to_slice(&random[16..], &mut parent[36..52]);
        parent
    }
}

/// `SplitMix64` (Steele, Lea and Flood, 2014): another number for every other one.
const fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use agentopia_mcp::Limits;
    use bytes::Bytes;

    use super::*;

    const GIVEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";

    fn message(meta: &str) -> Envelope {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","_meta":{meta}}}}}"#
        );
        Envelope::scan(Bytes::from(text), &Limits::default()).unwrap()
    }

    fn of(meta: &str, header: Option<&'static str>) -> (Trace, Envelope, HeaderMap) {
        let (message, mut headers) = (message(meta), HeaderMap::new());
        headers.extend(header.map(|it| (TRACEPARENT, HeaderValue::from_static(it))));
        headers.insert("tracestate", HeaderValue::from_static("a=b"));
        let trace = Trace::of(&message, &headers, &NewTraces::new(&Ambient::system()));
        (trace, message, headers)
    }

    fn sent(of: (Trace, Envelope, HeaderMap)) -> (String, HeaderMap) {
        let (trace, message, headers) = of;
        let mut map = HeaderMap::new();
        trace.add_headers(&headers, &mut map);
        let body = trace.write(Splice::new(&message)).finish();
        (String::from_utf8(body).unwrap(), map)
    }

    #[test]
    fn what_the_message_says_counts_and_goes_along_as_a_header() {
        let meta = format!(r#"{{"traceparent":"{GIVEN}"}}"#);
        let (body, headers) = sent(of(&meta, Some(OTHER)));
        assert_eq!(
            (&headers["traceparent"], headers.len()),
            (&HeaderValue::from_static(GIVEN), 1)
        );
        assert!(body.contains(GIVEN) && !body.contains(OTHER), "{body}");
    }

    #[test]
    fn what_headers_say_is_put_into_the_message() {
        let (trace, ..) = of("{}", Some(GIVEN));
        assert_eq!(&trace.id(), b"0af7651916cd43dd8448eb211c80319c");
        let (body, headers) = sent(of("{}", Some(GIVEN)));
        assert_eq!(headers["tracestate"], "a=b");
        assert!(
            body.contains(&format!(r#""traceparent":"{GIVEN}""#)),
            "{body}"
        );
    }

    #[test]
    fn else_a_trace_begins_and_the_message_stays_as_it_is() {
        let bad = [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ];
        for header in bad.into_iter().map(Some).chain([None]) {
            let (trace, message, _) = of("{}", header);
            assert!(parse(trace.text()).is_some(), "{}", trace.text());
            assert_eq!(trace.write(Splice::new(&message)).finish(), message.bytes());
            assert_ne!(of("{}", header).0, trace);
        }
    }
}
