//! Does a URI belong to a resource template (RFC 6570)? Decides only where a request goes; the
//! server checks for itself. So expressions match any text, and `{var}` none with a slash.

/// Whether `uri` can come from `template`. Time grows with the product of their lengths, whatever
/// a server puts into its template.
pub(super) fn matches(template: &str, uri: &str) -> bool {
    let text = uri.as_bytes();
    // Which ends of what was matched so far are possible.
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    let mut rest = template;
    loop {
        let (literal, more) = match rest.split_once('{') {
            Some((literal, more)) => (literal, Some(more)),
            None => (rest, None),
        };
        ends = after_literal(&ends, text, literal.as_bytes());
        let Some(more) = more else {
            return ends[text.len()];
        };
        let Some((expression, after)) = more.split_once('}') else {
            return false;
        };
        after_expression(&mut ends, text, takes_reserved(expression));
        rest = after;
    }
}

/// `+`, `#`, `/`, `?`, `&`, `.`, `;` and `*` let slashes through.
fn takes_reserved(expression: &str) -> bool {
    expression.starts_with(['+', '#', '/', '?', '&', '.', ';']) || expression.ends_with('*')
}

fn after_literal(ends: &[bool], text: &[u8], literal: &[u8]) -> Vec<bool> {
    let mut next = vec![false; ends.len()];
    for at in (0..ends.len()).filter(|at| ends[*at]) {
        if text[at..].starts_with(literal) {
            next[at + literal.len()] = true;
        }
    }
    next
}

fn after_expression(ends: &mut [bool], text: &[u8], through_slashes: bool) {
    for at in 1..ends.len() {
        if ends[at - 1] && (through_slashes || text[at - 1] != b'/') {
            ends[at] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn templates() {
        for (template, uri, wanted) in [
            ("file:///{path}", "file:///a", true),
            ("file:///{path}", "file:///a/b", false),
            ("file:///{+path}", "file:///a/b", true),
            ("db://{table}/{id}", "db://users/7", true),
            ("db://{table}/{id}", "db://users", false),
            ("db://{table}/{id}/x", "db://users/7/y", false),
            ("a:b", "a:b", true),
            ("a:{", "a:b", false),
            ("s:{?q*}", "s:?q=1/2", true),
            ("s:{v}\u{e9}", "s:\u{fc}\u{e9}", true),
        ] {
            assert_eq!(matches(template, uri), wanted, "{template} {uri}");
        }
    }

    #[test]
    fn many_expressions_end_in_time() {
        let template = "{+a}".repeat(50) + "z";
        assert!(!matches(&template, &"y".repeat(2_000)));
    }
}
