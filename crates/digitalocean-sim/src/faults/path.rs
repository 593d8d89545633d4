//! Patterns of request paths.

use serde::{Deserialize, Serialize};

/// A path in which `*` stands for one segment, and `**` at the end for all that follow:
/// `/v2/droplets/*/actions`, `/v2/firewalls/**`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PathPattern(String);

impl PathPattern {
    /// Whether `path` (without a query) fits.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        for wanted in self.0.split('/') {
            match (wanted, segments.next()) {
                ("**", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(segment)) if wanted == segment => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }
}

impl From<&str> for PathPattern {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_segments() {
        let fits = |pattern: &str, path: &str| PathPattern::from(pattern).matches(path);
        assert!(fits("/v2/droplets", "/v2/droplets"));
        assert!(!fits("/v2/droplets", "/v2/droplets/1"));
        assert!(fits("/v2/droplets/*/actions", "/v2/droplets/1/actions"));
        assert!(!fits("/v2/droplets/*", "/v2/droplets"));
        assert!(fits("/v2/droplets/**", "/v2/droplets/1/actions"));
        assert!(!fits("/v2/droplets/**", "/v2/droplets"));
        assert!(fits("**", "/v2/anything"));
    }
}
