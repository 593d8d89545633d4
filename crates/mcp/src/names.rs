//! Names under which an agent sees the tools (and prompts) of several upstreams (rule 7).
//!
//! A name that is free is used as it is; one that is taken gets the upstream's slug in front
//! (`files__read`); one that is too long or has characters that clients refuse gets a hash at its
//! end. A name once given is never given to another tool and never changes, also when a second
//! upstream is linked or a tool goes away for a while: the [`Assignments`] are the memory, so keep
//! them (they are serde types) as long as the link. What an exposed name means is looked up, never
//! parsed, so it always decodes to one tool.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Longest exposed name; clients refuse longer ones.
pub const MAX_NAME: usize = 64;
/// Between slug and tool name.
pub const SEPARATOR: &str = "__";

/// A tool (or prompt) of an upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Target {
    /// Key of the upstream, unique for the agent and stable: the instance's id.
    pub upstream: Arc<str>,
    /// The name that the upstream knows.
    pub tool: Arc<str>,
}

/// A tool that may need a name.
#[derive(Clone, Debug)]
pub struct NewName<'a> {
    /// Key of the upstream, see [`Target::upstream`].
    pub upstream: &'a str,
    /// What to put in front where that is needed: the instance's friendly name.
    pub slug: &'a str,
    /// The name that the upstream knows.
    pub tool: &'a str,
    /// The name that the link's owner wishes instead of the tool's own (AGT-2).
    pub wanted: Option<&'a str>,
    /// Put the slug in front even where that is not needed.
    pub always_prefix: bool,
}

/// Who has which name. Serialises as a list of `[exposed, upstream, tool]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    from = "Vec<(Arc<str>, Arc<str>, Arc<str>)>",
    into = "Vec<(Arc<str>, Arc<str>, Arc<str>)>"
)]
pub struct Assignments {
    by_name: BTreeMap<Arc<str>, Target>,
    by_target: BTreeMap<Target, Arc<str>>,
}

impl Assignments {
    /// What an exposed name means.
    #[must_use]
    pub fn target(&self, exposed: &str) -> Option<&Target> {
        self.by_name.get(exposed)
    }

    /// The exposed name of a tool.
    #[must_use]
    pub fn exposed(&self, upstream: &str, tool: &str) -> Option<&Arc<str>> {
        self.by_target.get(&Target {
            upstream: upstream.into(),
            tool: tool.into(),
        })
    }

    /// All pairs, by exposed name.
    pub fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &Target)> {
        self.by_name.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Gives the names of an upstream back, when its link is removed for good.
    pub fn forget_upstream(&mut self, upstream: &str) {
        self.by_name
            .retain(|_, target| &*target.upstream != upstream);
        self.by_target
            .retain(|target, _| &*target.upstream != upstream);
    }

    /// Gives one name back, before it is assigned anew because its owner wishes another.
    pub fn forget(&mut self, upstream: &str, tool: &str) {
        let target = Target {
            upstream: upstream.into(),
            tool: tool.into(),
        };
        if let Some(exposed) = self.by_target.remove(&target) {
            self.by_name.remove(&exposed);
        }
    }

    fn give(&mut self, exposed: String, target: Target) {
        let exposed: Arc<str> = exposed.into();
        self.by_name.insert(Arc::clone(&exposed), target.clone());
        self.by_target.insert(target, exposed);
    }
}

impl From<Vec<(Arc<str>, Arc<str>, Arc<str>)>> for Assignments {
    /// Of several entries for one name or one tool the first counts.
    fn from(list: Vec<(Arc<str>, Arc<str>, Arc<str>)>) -> Self {
        let mut assignments = Self::default();
        for (exposed, upstream, tool) in list {
            let target = Target { upstream, tool };
            if is_valid(&exposed)
                && !assignments.by_name.contains_key(&exposed)
                && !assignments.by_target.contains_key(&target)
            {
                assignments.give(exposed.to_string(), target);
            }
        }
        assignments
    }
}

impl From<Assignments> for Vec<(Arc<str>, Arc<str>, Arc<str>)> {
    fn from(assignments: Assignments) -> Self {
        assignments
            .by_name
            .into_iter()
            .map(|(name, t)| (name, t.upstream, t.tool))
            .collect()
    }
}

/// Whether clients take a name: `[A-Za-z0-9_.-]{1,64}`.
#[must_use]
pub fn is_valid(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(is_allowed)
}

/// Gives names to those of `new` that have none; all names given before stay as they are. Hand the
/// tools in the order of their links: who comes first gets the plain name.
///
/// ```
/// use agentopia_mcp::{Assignments, NewName, names::assign};
/// let tool = |upstream, tool| NewName { upstream, slug: upstream, tool, wanted: None, always_prefix: false };
/// let first = assign(Assignments::default(), [tool("files", "read"), tool("files", "write")]);
/// let both = assign(first, [tool("web", "read"), tool("web", "get page")]);
/// assert_eq!(&*both.target("read").unwrap().upstream, "files");
/// assert!(both.exposed("web", "get page").unwrap().starts_with("get_page_"));
/// assert_eq!(&*both.target("web__read").unwrap().tool, "read");
/// ```
#[must_use]
pub fn assign<'a>(
    existing: Assignments,
    new: impl IntoIterator<Item = NewName<'a>>,
) -> Assignments {
    let mut assignments = existing;
    for tool in new {
        let target = Target {
            upstream: tool.upstream.into(),
            tool: tool.tool.into(),
        };
        if !assignments.by_target.contains_key(&target) {
            let name = free_name(&assignments, &tool);
            assignments.give(name, target);
        }
    }
    assignments
}

fn free_name(assignments: &Assignments, new: &NewName<'_>) -> String {
    let base = new.wanted.unwrap_or(new.tool);
    let prefixed = format!("{}{SEPARATOR}{base}", new.slug);
    let plain = (!new.always_prefix).then(|| fit(base, &[base]));
    plain
        .into_iter()
        .chain([fit(&prefixed, &[new.slug, base])])
        // Two upstreams can have one slug, and hashes can collide: count on until it is free.
        .chain((0_u64..).map(|n| hashed(&prefixed, &[new.upstream, new.tool, &n.to_string()])))
        .find(|name| !assignments.by_name.contains_key(name.as_str()))
        // The iterator has no end.
        .unwrap_or_default()
}

/// The name itself if clients take it, else with the bad characters replaced and a hash of `parts`,
/// so that it does not matter in which order the tools come.
fn fit(name: &str, parts: &[&str]) -> String {
    if is_valid(name) {
        name.to_owned()
    } else {
        hashed(name, parts)
    }
}

fn hashed(name: &str, parts: &[&str]) -> String {
    const HASH: usize = 8;
    let clean = name.chars().map(|c| {
        if c.is_ascii() && is_allowed(c as u8) {
            c
        } else {
            '_'
        }
    });
    let mut out: String = clean.take(MAX_NAME - HASH - 1).collect();
    out.push('_');
    let mut hash = fnv1a(parts);
    for _ in 0..HASH {
        out.push(char::from(
            b"abcdefghijklmnopqrstuvwxyz234567"[(hash & 31) as usize],
        ));
        hash >>= 5;
    }
    out
}

fn is_allowed(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-')
}

/// FNV-1a with 64 bits: stable over versions of Rust and of us. Nothing depends on its strength,
/// as a name that is taken is never given again.
fn fnv1a(parts: &[&str]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in part.bytes().chain([0xff]) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    // The low bits alone mix poorly.
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn new<'a>(upstream: &'a str, tool: &'a str) -> NewName<'a> {
        NewName {
            upstream,
            slug: upstream,
            tool,
            wanted: None,
            always_prefix: false,
        }
    }

    #[test]
    fn plain_then_prefixed_then_hashed() {
        let long = "x".repeat(70);
        let fits_alone = "y".repeat(60);
        let all = assign(
            Assignments::default(),
            [
                new("a", "read"),
                new("b", "read"),
                NewName {
                    slug: "b",
                    ..new("c", "read")
                },
                new("a", "b__read"),
                NewName {
                    always_prefix: true,
                    ..new("d", "only")
                },
                NewName {
                    wanted: Some("nice"),
                    ..new("d", "ugly")
                },
                new("a", &long),
                new("a", &fits_alone),
                new("files", &fits_alone),
                new("a", ""),
                new("a", "caf\u{e9}"),
            ],
        );
        let name = |upstream, tool| all.exposed(upstream, tool).unwrap().to_string();
        assert_eq!(name("a", "read"), "read");
        assert_eq!(name("b", "read"), "b__read");
        assert!(name("c", "read").starts_with("b__read_"));
        assert_ne!(name("a", "b__read"), "b__read");
        assert_eq!(name("d", "only"), "d__only");
        assert_eq!(name("d", "ugly"), "nice");
        assert_eq!(name("a", &long).len(), 64);
        assert_eq!(name("a", &fits_alone), fits_alone);
        assert!(name("files", &fits_alone).starts_with("files__yyy"));
        assert!(name("a", "caf\u{e9}").starts_with("caf__"));
        assert!(all.iter().all(|(name, _)| is_valid(name)));
        // Pinned: agents remember these names.
        assert_eq!(hashed("get page", &["get page"]), PINNED);
    }

    const PINNED: &str = "get_page_qithuoov";

    #[test]
    fn names_are_given_back_only_on_demand() {
        let mut all = assign(Assignments::default(), [new("a", "x"), new("b", "x")]);
        all.forget_upstream("a");
        assert_eq!(all.target("x"), None);
        all.forget("b", "x");
        assert!(all.is_empty());
        let all = assign(all, [new("b", "x")]);
        assert_eq!(&**all.exposed("b", "x").unwrap(), "x");
    }

    fn tools() -> impl Strategy<Value = Vec<(String, String, bool)>> {
        let upstream = prop::sample::select(vec!["a", "b", "a__b", "\u{e9}"]);
        let tool = prop_oneof![
            prop::sample::select(vec!["x", "b__x", "a__x", "", "a b", "a_b", "y.z"])
                .prop_map(str::to_owned),
            "[a-z_]{0,3}",
            "z{55,70}",
            any::<String>(),
        ];
        prop::collection::vec(
            (upstream.prop_map(str::to_owned), tool, any::<bool>()),
            0..20,
        )
    }

    fn named(list: &[(String, String, bool)]) -> Vec<NewName<'_>> {
        list.iter()
            .map(|(u, t, p)| NewName {
                always_prefix: *p,
                ..new(u, t)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn unique_valid_stable_idempotent(first in tools(), second in tools()) {
            let one = assign(Assignments::default(), named(&first));
            let two = assign(one.clone(), named(&second));
            for (name, target) in one.iter() {
                prop_assert_eq!(two.target(name), Some(target), "a name changed");
            }
            for (upstream, tool, _) in first.iter().chain(&second) {
                let name = two.exposed(upstream, tool).expect("everything has a name");
                prop_assert!(is_valid(name), "{:?}", name);
                let target = two.target(name).unwrap();
                prop_assert_eq!((&*target.upstream, &*target.tool), (upstream.as_str(), tool.as_str()));
            }
            prop_assert_eq!(two.by_name.len(), two.by_target.len());
            prop_assert_eq!(&assign(two.clone(), named(&first)), &two);
            let stored = serde_json::to_string(&two).unwrap();
            prop_assert_eq!(serde_json::from_str::<Assignments>(&stored).unwrap(), two);
        }
    }
}
