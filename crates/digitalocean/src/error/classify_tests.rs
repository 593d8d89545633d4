use bytes::Bytes;
use http::Response;

use super::*;

const READ: Asked = Asked {
    operation: "read a droplet",
    effect: Effect::Read,
};
const DELETE: Asked = Asked {
    operation: "delete a droplet",
    effect: Effect::Idempotent,
};
const CREATE: Asked = Asked {
    operation: "create a droplet",
    effect: Effect::Once,
};

const PAGE: &str = "<!DOCTYPE html><html><body><h1>504 Gateway Time-out</h1></body></html>";

fn response(status: u16, body: &str) -> Response<Bytes> {
    Response::builder()
        .status(status)
        .body(Bytes::copy_from_slice(body.as_bytes()))
        .unwrap()
}

fn own(status: u16, id: &str, message: &str) -> Response<Bytes> {
    response(
        status,
        &serde_json::json!({"id": id, "message": message}).to_string(),
    )
}

fn kind(error: &Error) -> &'static str {
    match error {
        Error::RateLimited(_) => "rate-limited",
        Error::Retryable(_) => "retryable",
        Error::Ambiguous(_) => "ambiguous",
        Error::Final(_) => "final",
    }
}

#[test]
fn only_digitaloceans_own_refusal_proves_that_a_create_had_no_effect() {
    let limit = "creating this/these droplet(s) will exceed your droplet limit";
    for (answer, expected) in [
        (own(400, "bad_request", "x"), "final"),
        (
            own(401, "unauthorized", "Unable to authenticate you."),
            "final",
        ),
        (
            own(
                403,
                "forbidden",
                "You are not authorized to perform this operation",
            ),
            "final",
        ),
        (own(404, "not_found", "x"), "final"),
        (own(409, "conflict", "duplicate name"), "final"),
        (own(422, "unprocessable_entity", limit), "final"),
        (
            own(
                422,
                "unprocessable_entity",
                "Droplet already has a pending event.",
            ),
            "retryable",
        ),
        (own(408, "request_timeout", "x"), "ambiguous"),
        (
            own(500, "server_error", "Unexpected server-side error"),
            "ambiguous",
        ),
        (own(503, "service_unavailable", "x"), "ambiguous"),
        (response(500, ""), "ambiguous"),
        (response(502, PAGE), "ambiguous"),
        (response(504, PAGE), "ambiguous"),
        (response(520, PAGE), "ambiguous"),
        // Not DigitalOcean's own, so nothing is known.
        (response(400, PAGE), "ambiguous"),
        (response(403, PAGE), "ambiguous"),
        (response(404, PAGE), "ambiguous"),
        (response(422, "{}"), "ambiguous"),
        (response(302, ""), "ambiguous"),
        (own(303, "see_other", "x"), "ambiguous"),
    ] {
        let status = answer.status();
        assert_eq!(
            kind(&refused(CREATE, &answer)),
            expected,
            "{status} {answer:?}"
        );
        // What can be repeated is never ambiguous.
        let repeatable = match expected {
            "ambiguous" => "retryable",
            same => same,
        };
        assert_eq!(kind(&refused(READ, &answer)), repeatable, "{status}");
        assert_eq!(kind(&refused(DELETE, &answer)), repeatable, "{status}");
    }
}

#[test]
fn no_answer_is_ambiguous_unless_nothing_was_sent() {
    let lost = TransportError::unanswered("connection reset");
    let never = TransportError::never_sent("connection refused");
    assert_eq!(kind(&unanswered(CREATE, &lost)), "ambiguous");
    assert_eq!(kind(&unanswered(CREATE, &never)), "retryable");
    assert_eq!(kind(&unanswered(READ, &lost)), "retryable");
    assert_eq!(kind(&unanswered(DELETE, &lost)), "retryable");
}

#[test]
fn a_success_that_can_not_be_read_may_have_made_the_droplet() {
    let judge = |asked, body: &str| {
        let error = serde_json::from_str::<Vec<u8>>(body).unwrap_err();
        not_understood(asked, &response(202, body), &error)
    };
    assert_eq!(kind(&judge(CREATE, r#"{"droplet":{"id":"#)), "ambiguous");
    assert_eq!(kind(&judge(CREATE, PAGE)), "ambiguous");
    // A page in place of a list passes by itself, a shape that this version can't read does not.
    assert_eq!(kind(&judge(READ, PAGE)), "retryable");
    assert_eq!(kind(&judge(READ, "")), "retryable");
    assert_eq!(kind(&judge(READ, r#"{"droplets":7}"#)), "final");
}

#[test]
fn only_digitaloceans_own_404_means_not_found() {
    assert!(refused(READ, &own(404, "not_found", "gone")).is_not_found());
    for other in [
        response(404, PAGE),
        response(404, ""),
        own(404, "no_such_route", "x"),
        own(410, "gone", "x"),
        response(404, r#"{"message":"no Route matched with those values"}"#),
    ] {
        assert!(!refused(READ, &other).is_not_found(), "{other:?}");
    }
}

#[test]
fn a_page_of_html_is_never_told() {
    let quoted = own(502, "bad_gateway", PAGE);
    let error = serde_json::from_str::<Vec<u8>>(PAGE).unwrap_err();
    for error in [
        refused(CREATE, &response(504, PAGE)),
        refused(READ, &quoted),
        not_understood(READ, &response(200, PAGE), &error),
        unanswered(READ, &TransportError::unanswered(PAGE)),
    ] {
        let told = format!("{error} {error:?}").to_lowercase();
        assert!(
            !told.contains("<h1>") && !told.contains("gateway time-out"),
            "{told}"
        );
    }
}

#[test]
fn a_message_says_what_happened_and_what_to_do() {
    let words = "creating this/these droplet(s) will exceed your droplet limit";
    let refusal = serde_json::json!({
        "id": "unprocessable_entity", "message": words, "request_id": "4851a473",
    });
    assert_eq!(
        refused(CREATE, &response(422, &refusal.to_string())).to_string(),
        "can't create a droplet: DigitalOcean says \"creating this/these droplet(s) will exceed your \
         droplet limit\" (HTTP 422, unprocessable_entity, request 4851a473); delete droplets that \
         are not needed, or ask DigitalOcean for a higher droplet limit (control panel, Settings, \
         Team)"
    );
    assert_eq!(
        refused(CREATE, &response(504, PAGE)).to_string(),
        "can't create a droplet: the answer was not one of DigitalOcean's API; a gateway or proxy on \
         the way gave it (HTTP 504). It may have happened all the same"
    );
    assert_eq!(
        unanswered(CREATE, &TransportError::never_sent("connection refused")).to_string(),
        "can't create a droplet: DigitalOcean can't be reached: connection refused"
    );
}

#[test]
fn every_known_case_says_what_to_do() {
    for (answer, part) in [
        (
            own(401, "unauthorized", "Unable to authenticate you."),
            "personal access token",
        ),
        (
            own(403, "forbidden", "you do not have access"),
            "the scope droplet:create",
        ),
        (own(422, "u", "Region is not available"), "another region"),
        (
            own(
                422,
                "u",
                "You specified an invalid size for Droplet creation.",
            ),
            "another size",
        ),
        (
            own(
                422,
                "u",
                "You specified an invalid image for Droplet creation.",
            ),
            "another image",
        ),
        (
            own(
                422,
                "u",
                "1 are invalid key identifiers for Droplet creation.",
            ),
            "SSH key",
        ),
        (own(409, "conflict", "duplicate name"), "rename"),
        (
            own(422, "u", "Droplet already has a pending event."),
            "try again when",
        ),
    ] {
        let told = refused(CREATE, &answer).to_string();
        assert!(told.contains(part), "{told}");
    }
}

#[test]
fn the_request_id_of_the_header_stands_in_for_that_of_the_body() {
    let mut answer = response(504, PAGE);
    let id = "6cd50330".parse().unwrap();
    answer.headers_mut().insert("x-request-id", id);
    let error = refused(READ, &answer);
    assert_eq!(
        error.failure().unwrap().request_id.as_deref(),
        Some("6cd50330")
    );
}
