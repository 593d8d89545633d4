//! Tool arguments that are mirrored into `Mcp-Param-*` headers: which ones, by the `x-mcp-header`
//! annotations of the tool's input schema; what to send; does what came agree.

use http::{HeaderMap, HeaderName};

use super::{PARAM_PREFIX, Refusal, decode_value, encode_value, single};
use crate::envelope::{Envelope, Field};
use crate::json::Json;

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
    /// annotation has, are left out: such a tool is the upstream's mistake, and it checks itself.
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
        if memchr::memmem::find(schema.as_bytes(), b"x-mcp-header").is_none() {
            return;
        }
        let Some(properties) = schema.get("properties") else {
            return;
        };
        for property in properties.members() {
            path.push(property.key.into_owned());
            if let Some(header) = property.value.get("x-mcp-header")
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
