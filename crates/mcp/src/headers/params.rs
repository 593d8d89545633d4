//! Tool arguments that are mirrored into `Mcp-Param-*` headers: which ones, by the `x-mcp-header`
//! annotations of the tool's input schema; what to send; does what came agree.

use http::{HeaderMap, HeaderName};

use super::{PARAM_PREFIX, Refusal, decode_value, encode_value, single};
use crate::envelope::{Envelope, Field};
use crate::json::Json;

/// Says that an argument is mirrored, and into which header.
const ANNOTATION: &str = "x-mcp-header";

/// One annotated argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamHeader {
    /// The whole header name.
    pub header: HeaderName,
    /// Keys from the arguments object down to the argument.
    pub path: Vec<String>,
}

/// The annotated arguments of a tool, to be kept with its route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParamHeaders(Vec<ParamHeader>);

impl ParamHeaders {
    /// Reads an `inputSchema`. Annotations that make no header name, or one that an earlier
    /// annotation has, are left out; [`misannotated`] tells of them.
    ///
    /// ```
    /// use agentopia_mcp::{Json, ParamHeaders};
    /// let schema = Json::parse(br#"{"type":"object","properties":{
    ///   "region":{"type":"string","x-mcp-header":"Region"},"sql":{"type":"string"}}}"#).unwrap();
    /// let headers = ParamHeaders::from_schema(&schema);
    /// assert_eq!(headers.iter().next().unwrap().header, "mcp-param-region");
    /// ```
    #[must_use]
    pub fn from_schema(schema: &Json<'_>) -> Self {
        let mut found = Self::default();
        found.collect(schema, &mut Vec::new());
        found
    }

    fn collect(&mut self, schema: &Json<'_>, path: &mut Vec<String>) {
        // Without the annotation anywhere, which is the rule, there is nothing to walk for.
        if memchr::memmem::find(schema.as_bytes(), ANNOTATION.as_bytes()).is_none() {
            return;
        }
        let Some(properties) = schema.get("properties") else {
            return;
        };
        for property in properties.members() {
            path.push(property.key.into_owned());
            if let Some(header) = property.value.get(ANNOTATION)
                && let Some(suffix) = header.text().filter(|suffix| !suffix.is_empty())
                && let Ok(header) = HeaderName::try_from(format!("{PARAM_PREFIX}{suffix}"))
                && self.0.iter().all(|known| known.header != header)
            {
                self.0.push(ParamHeader {
                    header,
                    path: path.clone(),
                });
            }
            self.collect(&property.value, path);
            path.pop();
        }
    }

    /// The annotated arguments.
    pub fn iter(&self) -> impl Iterator<Item = &ParamHeader> {
        self.0.iter()
    }

    /// True if the tool has none, which is the rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sets the headers for a call on its way to a modern upstream, from its arguments: needed when
    /// the client is of the session era and so sent none.
    pub fn set<B: AsRef<[u8]>>(&self, headers: &mut HeaderMap, call: &Envelope<B>) {
        for param in &self.0 {
            match argument(call, &param.path) {
                Some(text) => headers.insert(&param.header, encode_value(&text)),
                None => headers.remove(&param.header),
            };
        }
    }

    /// Checks the headers of a modern call against its arguments (rule 3).
    ///
    /// # Errors
    /// The first header that is missing, doubled, malformed or different.
    pub fn check<B: AsRef<[u8]>>(
        &self,
        headers: &HeaderMap,
        call: &Envelope<B>,
    ) -> Result<(), Refusal> {
        for param in &self.0 {
            let header = || param.header.clone();
            match (single(headers, &param.header)?, argument(call, &param.path)) {
                (None, None) => {}
                (None, Some(_)) => return Err(Refusal::MissingHeader { header: header() }),
                (Some(_), None) => return Err(Refusal::Mismatch { header: header() }),
                (Some(value), Some(wanted)) => {
                    let sent = decode_value(value)
                        .ok_or_else(|| Refusal::InvalidHeader { header: header() })?;
                    if sent != wanted && !same_number(&sent, &wanted, call, &param.path) {
                        return Err(Refusal::Mismatch { header: header() });
                    }
                }
            }
        }
        Ok(())
    }
}

/// What is wrong with the `x-mcp-header` annotations of an `inputSchema`, for people. A client has to leave a
/// tool out whose server did this wrong (2026-07-28, tools, `x-mcp-header`): its arguments could not be told from
/// its headers. Types other than string, integer and boolean can't be annotated.
///
/// ```
/// use agentopia_mcp::{Json, headers::misannotated};
/// let schema = |suffix| format!(r#"{{"properties":{{"a":{{"type":"string","x-mcp-header":"{suffix}"}}}}}}"#);
/// assert_eq!(misannotated(&Json::parse(schema("Region").as_bytes()).unwrap()), None);
/// assert!(misannotated(&Json::parse(schema("My Region").as_bytes()).unwrap()).is_some());
/// ```
#[must_use]
pub fn misannotated(schema: &Json<'_>) -> Option<String> {
    wrong_in(schema, &mut Vec::new())
}

fn wrong_in(schema: &Json<'_>, seen: &mut Vec<HeaderName>) -> Option<String> {
    memchr::memmem::find(schema.as_bytes(), ANNOTATION.as_bytes())?;
    for property in schema.get("properties")?.members() {
        if let Some(annotation) = property.value.get(ANNOTATION) {
            let wrong = |why| Some(format!("{ANNOTATION} of `{}` {why}", property.key));
            let Some(suffix) = annotation.text().filter(|suffix| !suffix.is_empty()) else {
                return wrong("is no text");
            };
            let kind = property.value.get("type");
            let kind = kind.as_ref().and_then(Json::text);
            if kind.is_some_and(|kind| !matches!(&*kind, "string" | "integer" | "boolean")) {
                return wrong("stands at a type that can't be a header");
            }
            let Ok(header) = HeaderName::try_from(format!("{PARAM_PREFIX}{suffix}")) else {
                return wrong("makes no name of a header");
            };
            if seen.contains(&header) {
                return wrong("is one that another argument has");
            }
            seen.push(header);
        }
        if let Some(wrong) = wrong_in(&property.value, seen) {
            return Some(wrong);
        }
    }
    None
}

/// `42` and `42.0` are one number to the upstream's parser, whichever of them a client prints.
fn same_number<B: AsRef<[u8]>>(
    sent: &str,
    wanted: &str,
    call: &Envelope<B>,
    path: &[String],
) -> bool {
    let is_string = value_at(call, path, |value| value.as_bytes().first() == Some(&b'"'));
    if is_string != Some(false) {
        return false;
    }
    match (sent.parse::<i128>(), wanted.parse::<i128>()) {
        (Ok(sent), Ok(wanted)) => sent == wanted,
        // Finite, so that no two huge numbers meet at infinity, nor NaN get in.
        _ => sent
            .parse::<f64>()
            .is_ok_and(|sent| sent.is_finite() && wanted.parse() == Ok(sent)),
    }
}

/// The text of a string, number or boolean argument; `None` if it is absent, null or compound.
fn argument<B: AsRef<[u8]>>(call: &Envelope<B>, path: &[String]) -> Option<String> {
    value_at(call, path, |value| match value.as_bytes().first()? {
        b'"' => value.text().map(std::borrow::Cow::into_owned),
        b'{' | b'[' | b'n' => None,
        _ => Some(String::from_utf8_lossy(value.as_bytes()).into_owned()),
    })
    .flatten()
}

/// Looks at the argument at a path.
fn value_at<B: AsRef<[u8]>, T>(
    call: &Envelope<B>,
    path: &[String],
    look: impl FnOnce(&Json<'_>) -> T,
) -> Option<T> {
    fn down<T>(value: &Json<'_>, path: &[String], look: impl FnOnce(&Json<'_>) -> T) -> Option<T> {
        match path {
            [key, rest @ ..] => down(&value.get(key)?, rest, look),
            [] => Some(look(value)),
        }
    }
    down(&call.raw(Field::ParamsArguments)?, path, look)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::envelope::Limits;

    fn annotated() -> ParamHeaders {
        let schema = br#"{"type":"object","properties":{
            "region":{"type":"string","x-mcp-header":"Region"},
            "again":{"type":"string","x-mcp-header":"REGION"},
            "bad":{"type":"string","x-mcp-header":"a b"},
            "deep":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}"#;
        ParamHeaders::from_schema(&Json::parse(schema).unwrap())
    }

    #[test]
    fn wrong_annotations_are_found_wherever_they_stand() {
        let wrong = |properties: &str| {
            let schema = format!(r#"{{"type":"object","properties":{{{properties}}}}}"#);
            misannotated(&Json::parse(schema.as_bytes()).unwrap())
        };
        for right in [
            "",
            r#""a":{"type":"string"}"#,
            r#""a":{"type":"string","x-mcp-header":"A"},"b":{"type":"boolean","x-mcp-header":"B"}"#,
            r#""a":{"x-mcp-header":"A"}"#,
            r#""a":{"type":"object","properties":{"b":{"type":"integer","x-mcp-header":"B"}}}"#,
            r#""a":{"type":"string","description":"no x-mcp-header"}"#,
        ] {
            assert_eq!(wrong(right), None, "{right}");
        }
        for annotation in [
            r#""type":"string","x-mcp-header":"""#,
            r#""type":"string","x-mcp-header":7"#,
            r#""type":"string","x-mcp-header":"a b""#,
            r#""type":"string","x-mcp-header":"a:b""#,
            r#""type":"string","x-mcp-header":"é""#,
            r#""type":"string","x-mcp-header":"a\tb""#,
            r#""type":"number","x-mcp-header":"N""#,
            r#""type":"object","x-mcp-header":"O""#,
            r#""type":"array","x-mcp-header":"L""#,
            r#""type":"null","x-mcp-header":"Z""#,
        ] {
            let alone = format!(r#""a":{{{annotation}}}"#);
            assert!(wrong(&alone).is_some(), "{annotation}");
            let deep = format!(r#""d":{{"type":"object","properties":{{{alone}}}}}"#);
            assert!(wrong(&deep).is_some(), "{annotation}");
        }
        let twice = r#""a":{"type":"string","x-mcp-header":"Same"},"b":{"type":"string","x-mcp-header":"sAME"}"#;
        assert!(wrong(twice).is_some());
    }

    fn call(arguments: &str) -> Vec<u8> {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"q","arguments":{arguments}}}}}"#)
            .into_bytes()
    }

    #[test]
    fn annotations_are_found_at_any_depth_and_only_once() {
        let names: Vec<_> = annotated()
            .iter()
            .map(|p| (p.header.to_string(), p.path.join(".")))
            .collect();
        assert_eq!(
            names,
            [("mcp-param-region", "region"), ("mcp-param-n", "deep.n")]
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
    }

    #[test]
    fn what_is_set_passes_the_check_and_what_differs_does_not() {
        for arguments in [
            r#"{"region":"caf\u00e9 ","deep":{"n":42}}"#,
            "{}",
            r#"{"region":null}"#,
        ] {
            let text = call(arguments);
            let call = Envelope::scan(&text[..], &Limits::default()).unwrap();
            let mut headers = HeaderMap::new();
            annotated().set(&mut headers, &call);
            assert_eq!(annotated().check(&headers, &call), Ok(()), "{arguments}");
        }
        let text = call(r#"{"region":"7","deep":{"n":42.0}}"#);
        let numbers = Envelope::scan(&text[..], &Limits::default()).unwrap();
        for (region, n, good) in [("7", "42", true), ("7", "43", false), ("7.0", "42", false)] {
            let mut headers = HeaderMap::new();
            headers.insert("mcp-param-region", HeaderValue::from_static(region));
            headers.insert("mcp-param-n", HeaderValue::from_static(n));
            assert_eq!(
                annotated().check(&headers, &numbers).is_ok(),
                good,
                "{region} {n}"
            );
        }
        let text = call(r#"{"region":"eu"}"#);
        let call = Envelope::scan(&text[..], &Limits::default()).unwrap();
        let mut headers = HeaderMap::new();
        assert!(matches!(
            annotated().check(&headers, &call),
            Err(Refusal::MissingHeader { .. })
        ));
        headers.insert("mcp-param-region", HeaderValue::from_static("us"));
        assert!(matches!(
            annotated().check(&headers, &call),
            Err(Refusal::Mismatch { .. })
        ));
        headers.insert("mcp-param-region", HeaderValue::from_static("eu"));
        headers.insert("mcp-param-n", HeaderValue::from_static("1"));
        assert!(matches!(
            annotated().check(&headers, &call),
            Err(Refusal::Mismatch { .. })
        ));
    }
}
