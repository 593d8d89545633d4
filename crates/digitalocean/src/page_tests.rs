use std::fmt::Write as _;

use serde_json::json;

use crate::testing::{Scripted, Step, answer, client, droplet_json, refusal};
use crate::{DropletId, Error, Reason, TagName};

fn page(ids: &[u64], next: Option<&str>) -> Step {
    let droplets: Vec<_> = ids
        .iter()
        .map(|id| droplet_json(*id, "a", &["env:1"]))
        .collect();
    let mut links = json!({});
    if let Some(next) = next {
        links = json!({"pages": {"next": next}});
    }
    let body = json!({"droplets": droplets, "links": links, "meta": {"total": 9}});
    answer(200, body.to_string())
}

#[tokio::test(start_paused = true)]
async fn pages_are_followed_to_the_end() {
    let next = |page| format!("https://api.digitalocean.com/v2/droplets?page={page}&per_page=200");
    let transport = Scripted::new([
        page(&[1, 2], Some(&next(2))),
        page(&[3], Some("/v2/droplets?page=3&per_page=200")),
        page(&[4], None),
    ]);
    let client = client(transport.clone());
    let droplets = client.droplets().list().all().await.unwrap();
    let ids: Vec<u64> = droplets.iter().map(|droplet| droplet.id.0).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    let targets: Vec<String> = transport
        .seen()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    assert_eq!(
        targets,
        [
            "/v2/droplets?per_page=200",
            "/v2/droplets?page=2&per_page=200",
            "/v2/droplets?page=3&per_page=200",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn pages_come_one_by_one() {
    let transport = Scripted::new([page(&[1], Some("/v2/droplets?page=2")), page(&[2], None)]);
    let client = client(transport.clone());
    let mut pages = client.droplets().list();
    assert_eq!(
        transport.seen().len(),
        0,
        "nothing is asked before a page is"
    );
    assert_eq!(pages.next().await.unwrap().unwrap().len(), 1);
    assert_eq!(transport.seen().len(), 1);
    assert!(pages.next().await.unwrap().is_some());
    assert!(pages.next().await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_token_does_not_follow_a_link_elsewhere() {
    for foreign in [
        "https://evil.example/v2/droplets?page=2",
        "http://api.digitalocean.com/v2/x",
    ] {
        let transport = Scripted::new([page(&[1], Some(foreign))]);
        let error = client(transport.clone())
            .droplets()
            .list()
            .all()
            .await
            .unwrap_err();
        assert_eq!(error.reason(), Some(&Reason::ForeignPage), "{error}");
        let seen = transport.seen();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].host, "api.digitalocean.com");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_without_an_end_is_an_error() {
    let steps = (0..50).map(|_| page(&[1], Some("/v2/droplets?page=2")));
    let transport = Scripted::new(steps);
    let error = client(transport.clone())
        .droplets()
        .list()
        .all()
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Some(&Reason::TooManyPages(50)), "{error}");
    assert!(transport.is_used_up());
}

#[tokio::test(start_paused = true)]
async fn part_of_a_list_is_not_passed_off_as_the_whole() {
    let forbidden = || refusal(403, "forbidden", "no");
    let transport = Scripted::new([page(&[1], Some("/v2/droplets?page=2")), forbidden()]);
    let result = client(transport).droplets().list().all().await;
    assert!(matches!(result, Err(Error::Final(_))), "{result:?}");
}

#[tokio::test(start_paused = true)]
async fn droplets_of_others_are_left_out_when_the_filter_is_lost() {
    let mut droplets = Vec::new();
    for (id, tags) in [
        (1, ["ENV:1"].as_slice()),
        (2, &[]),
        (3, &["env:12"]),
        (4, &["x", "env:1"]),
    ] {
        droplets.push(droplet_json(id, &format!("n{id}"), tags));
    }
    let body = json!({"droplets": droplets}).to_string();
    let transport = Scripted::new([answer(200, body.clone()), answer(200, body)]);
    let client = client(transport.clone());
    let tag = TagName::parse("env:1").unwrap();
    let found = client.droplets().list_by_tag(&tag).await.unwrap();
    let ids: Vec<DropletId> = found.iter().map(|droplet| droplet.id).collect();
    assert_eq!(ids, [DropletId(1), DropletId(4)]);
    let name = crate::DropletName::parse("N2").unwrap();
    let found = client.droplets().list_by_name(&name).await.unwrap();
    assert_eq!(found.len(), 1);
    let mut targets = String::new();
    for seen in transport.seen() {
        writeln!(targets, "{}", seen.target).unwrap();
    }
    assert_eq!(
        targets,
        "/v2/droplets?tag_name=env%3A1&per_page=200\n/v2/droplets?name=N2&per_page=200\n"
    );
}
