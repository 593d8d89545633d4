//! Pages.

use serde_json::{Value, json};

use crate::rig::{Rig, wish};

async fn with_droplets(count: u32) -> Rig {
    let rig = Rig::new();
    let mut settings = rig.simulator.settings();
    settings.droplet_limit = 1000;
    rig.simulator.set_settings(settings);
    for n in 0..count {
        rig.post("/v2/droplets", wish(&format!("web{n}"), "env:1"))
            .await
            .with(202);
    }
    rig
}

fn names(page: &Value) -> Vec<&str> {
    let droplets = page["droplets"].as_array().unwrap();
    droplets
        .iter()
        .map(|d| d["name"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn links_lead_through_all_pages_once() {
    let rig = with_droplets(5).await;
    let mut path = "/v2/droplets?tag_name=env:1&per_page=2".to_owned();
    let mut seen = vec![];
    let mut pages = 0;
    loop {
        let page = rig.get(&path).await.with(200);
        pages += 1;
        seen.extend(names(&page).into_iter().map(str::to_owned));
        assert_eq!(page["meta"]["total"], 5);
        let links = &page["links"]["pages"];
        assert_eq!(links["prev"].is_null(), pages == 1);
        assert_eq!(links["first"].is_null(), pages == 1);
        assert_eq!(links["last"].is_null(), pages == 3);
        let Some(next) = links["next"].as_str() else {
            break;
        };
        path = next
            .strip_prefix("https://api.digitalocean.com")
            .unwrap()
            .to_owned();
        assert!(
            path.contains("per_page=2") && path.contains("tag_name=env%3A1"),
            "{path}"
        );
        assert_eq!(
            path.matches("?page=").count() + path.matches("&page=").count(),
            1,
            "{path}"
        );
    }
    assert_eq!(pages, 3);
    assert_eq!(seen, ["web0", "web1", "web2", "web3", "web4"]);
}

#[tokio::test]
async fn twenty_are_a_page_and_two_hundred_the_most() {
    let rig = with_droplets(21).await;
    let page = rig.get("/v2/droplets").await.with(200);
    assert_eq!(names(&page).len(), 20);
    let whole = rig.get("/v2/droplets?per_page=21").await.with(200);
    assert_eq!((names(&whole).len(), &whole["links"]), (21, &json!({})));
    rig.simulator.set_settings(digitalocean_sim::Settings {
        droplet_limit: 1000,
        ..rig.simulator.settings()
    });
    for n in 0..180 {
        rig.post("/v2/droplets", wish(&format!("more{n}"), "env:1"))
            .await
            .with(202);
    }
    let cut = rig.get("/v2/droplets?per_page=500").await.with(200);
    assert_eq!(names(&cut).len(), 200);
    assert!(cut["links"]["pages"]["next"].is_string());
}

#[tokio::test]
async fn beyond_the_end_is_nothing_and_nonsense_is_refused() {
    let rig = with_droplets(3).await;
    let beyond = rig.get("/v2/droplets?page=9&per_page=2").await.with(200);
    assert_eq!(
        (names(&beyond).len(), &beyond["meta"]["total"]),
        (0, &json!(3))
    );
    assert!(
        beyond["links"]["pages"]["prev"]
            .as_str()
            .unwrap()
            .contains("page=2&")
    );
    for query in ["page=0", "per_page=0", "page=-1", "per_page=many"] {
        rig.get(&format!("/v2/droplets?{query}")).await.refused(422);
    }
}

#[tokio::test]
async fn links_name_the_host_that_was_called() {
    let rig = with_droplets(2).await;
    let request = axum::http::Request::get("/v2/droplets?per_page=1")
        .header("host", "127.0.0.1:8080")
        .header(
            "authorization",
            format!("Bearer {}", digitalocean_sim::FULL_TOKEN),
        )
        .body(axum::body::Body::empty());
    let page = rig.send(request.unwrap()).await.with(200);
    let last = "http://127.0.0.1:8080/v2/droplets?page=2&per_page=1";
    assert_eq!(page["links"]["pages"]["last"], last);
}
