//! What an entry may say, and what is refused.

use super::names::is_mount_path;
use super::*;

#[test]
fn repositories_have_no_tag_and_no_odd_characters() {
    for good in [
        "echo",
        "agentopia/echo",
        "127.0.0.1:5000/agentopia/echo",
        "localhost/x",
    ] {
        assert!(is_repository(good), "{good}");
    }
    for bad in [
        "",
        "Echo",
        "a//b",
        "a:tag",
        "h.io:x/a",
        "a/../b",
        "a@sha256:0",
        "-v /:/x",
    ] {
        assert!(!is_repository(bad), "{bad}");
    }
}

#[test]
fn a_direct_port_has_a_number_and_a_protocol() {
    let entry = |direct: &str| -> CatalogDefinition {
        let text = format!(
            r#"{{"slug":"t","name":"T","status":"available","packaging":{{"type":"docker_image","image":"t"}},
            "transport":{{"type":"stdio"}},"versions":[{{"version":"1","tag":"1"}}],
            "default_version":"1","direct_access":{direct}}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    assert_eq!(entry("null").check(), Ok(()));
    assert_eq!(entry(r#"{"port":53,"protocols":["udp"]}"#).check(), Ok(()));
    for (bad, field) in [
        (r#"{"port":0}"#, "direct_access.port"),
        (r#"{"port":1,"protocols":[]}"#, "direct_access.protocols"),
    ] {
        let problems = entry(bad).check().unwrap_err();
        assert_eq!(problems[0].field, field);
    }
}

#[test]
fn an_idle_time_of_an_entry_has_bounds() {
    let entry = |idle: &str| -> CatalogDefinition {
        let text = format!(
            r#"{{"slug":"t","name":"T","status":"available","packaging":{{"type":"docker_image","image":"t"}},
            "transport":{{"type":"stdio"}},"versions":[{{"version":"1","tag":"1"}}],
            "default_version":"1","idle_seconds":{idle}}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    for good in ["null", "60", "2592000"] {
        assert_eq!(entry(good).check(), Ok(()), "{good}");
    }
    for bad in ["0", "59", "2592001"] {
        let problems = entry(bad).check().unwrap_err();
        assert_eq!(problems[0].field, "idle_seconds", "{bad}");
    }
}

#[test]
fn mounts_stay_inside() {
    assert!(is_mount_path("/data"));
    for bad in [
        "data",
        "/",
        "/a/../b",
        "/proc",
        "/run/dtma/x",
        "/a:rw",
        "/a//b",
    ] {
        assert!(!is_mount_path(bad), "{bad}");
    }
}

#[test]
fn http_sse_is_a_transport_of_images_and_of_remote_servers() {
    let entry = |packaging: &str, transport: &str| -> CatalogDefinition {
        let text = format!(
            r#"{{"slug":"t","name":"T","status":"available","packaging":{packaging},
            "transport":{transport},"versions":[{{"version":"1","tag":"1"}}],"default_version":"1"}}"#
        );
        serde_json::from_str(&text).unwrap()
    };
    let image = r#"{"type":"docker_image","image":"t"}"#;
    let sse = |port: u16, path: &str| {
        entry(
            image,
            &format!(r#"{{"type":"sse","port":{port},"path":"{path}"}}"#),
        )
    };
    assert_eq!(sse(3001, "/sse").check(), Ok(()));
    for (bad, field) in [
        (sse(0, "/sse"), "transport.port"),
        (sse(1, "sse"), "transport.path"),
        (sse(1, "/sse?a=b"), "transport.path"),
    ] {
        assert_eq!(bad.check().unwrap_err()[0].field, field);
    }
    let stdio = r#"{"type":"stdio"}"#;
    let far = entry(r#"{"type":"remote","transport":"sse"}"#, stdio);
    assert_eq!(far.check(), Ok(()));
    // What was written before there was a choice reads and is written as ever.
    let before = r#"{"type":"remote","headers":{}}"#;
    let packaging = entry(before, stdio).packaging;
    assert!(matches!(
        packaging,
        Packaging::Remote {
            transport: RemoteTransport::StreamableHttp,
            ..
        }
    ));
    assert_eq!(serde_json::to_string(&packaging).unwrap(), before);
}
