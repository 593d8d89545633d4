//! Blueprints of tools.

use agentopia_domain::catalog::CatalogStatus;
use agentopia_domain::page::PageRequest;
use agentopia_store::{CatalogFilter, StoreError};
use futures::future::join_all;

use crate::common::{TestDb, on_both_engines};
use crate::fixtures::{assert_refused, definition, name};

on_both_engines!(
    an_entry_keeps_its_id_when_its_definition_changes,
    replicas_that_seed_at_once_make_one_entry,
    entries_are_found_by_status_category_and_words,
);

async fn an_entry_keeps_its_id_when_its_definition_changes(db: TestDb) {
    let catalog = db.store.catalog();
    let mut wanted = definition("echo");
    wanted.config.schema = serde_json::json!({"type": "object", "properties": {"z": {}, "a": {}}});
    let made = catalog.insert(db.id(), &wanted, &[]).await.unwrap();
    assert_refused!(
        catalog.insert(db.id(), &wanted, &[]).await,
        StoreError::Duplicate { field: "slug", .. },
    );
    assert!(!catalog.upsert(db.id(), &wanted, &[]).await.unwrap().changed);
    wanted.description = "Says it again.".into();
    let changed = catalog.upsert(db.id(), &wanted, &[]).await.unwrap();
    assert!(changed.changed);
    assert_eq!(changed.value.id, made.id);
    let read = catalog.by_slug("echo").await.unwrap();
    assert_eq!(read, changed.value);
    assert_eq!(read, catalog.get(made.id).await.unwrap());
    // The order of the properties is the order of the form.
    let schema = serde_json::to_string(&read.definition.config.schema).unwrap();
    assert!(schema.find("\"z\"") < schema.find("\"a\""), "{schema}");
    assert_refused!(catalog.get(db.id()).await, StoreError::NotFound { .. });
    assert_refused!(catalog.by_slug("nope").await, StoreError::NotFound { .. });
}

async fn replicas_that_seed_at_once_make_one_entry(db: TestDb) {
    let replicas = [db.store.clone(), db.another_replica().await];
    let calls = (0..16).map(|n| {
        let (store, id) = (replicas[n % 2].clone(), db.id());
        tokio::spawn(async move { store.catalog().upsert(id, &definition("echo"), &[]).await })
    });
    let all = join_all(calls).await;
    let all: Vec<_> = all.into_iter().map(|one| one.unwrap().unwrap()).collect();
    assert_eq!(all.iter().filter(|one| one.changed).count(), 1);
    assert!(all.iter().all(|one| one.value.id == all[0].value.id));
}

async fn entries_are_found_by_status_category_and_words(db: TestDb) {
    let catalog = db.store.catalog();
    for (slug, categories, status) in [
        ("weather", vec!["Data", "Weather"], CatalogStatus::Available),
        ("database", vec!["Databases"], CatalogStatus::Beta),
        ("per_cent", vec!["100%"], CatalogStatus::Archived),
    ] {
        let mut wanted = definition(slug);
        wanted.categories = categories.into_iter().map(Into::into).collect();
        wanted.status = status;
        wanted.name = name(&format!("The {slug} tool"));
        wanted.description = "Grüße AUS Köln".into();
        db.clock.advance(std::time::Duration::from_millis(1));
        catalog.insert(db.id(), &wanted, &[]).await.unwrap();
    }
    let found = async |filter: CatalogFilter| -> Vec<String> {
        let page = catalog.list(&filter, PageRequest::default()).await.unwrap();
        page.items
            .into_iter()
            .map(|entry| entry.definition.slug)
            .collect()
    };
    let all = CatalogFilter::default;
    assert_eq!(found(all()).await, ["weather", "database", "per_cent"]);
    let statuses = vec![CatalogStatus::Beta, CatalogStatus::Archived];
    assert_eq!(
        found(CatalogFilter { statuses, ..all() }).await,
        ["database", "per_cent"]
    );
    let category = Some("data".into());
    assert_eq!(
        found(CatalogFilter { category, ..all() }).await,
        ["weather"]
    );
    let updated_since = Some(chrono::DateTime::UNIX_EPOCH);
    let since = CatalogFilter {
        updated_since,
        ..all()
    };
    assert_eq!(found(since).await.len(), 3);
    let updated_since = Some("2999-01-01T00:00:00Z".parse().unwrap());
    let since = CatalogFilter {
        updated_since,
        ..all()
    };
    assert!(found(since).await.is_empty());
    for (words, expected) in [
        ("GRÜSSE", vec![]),
        ("grüße WEATHER", vec!["weather"]),
        ("%", vec!["per_cent"]),
        ("r_c", vec!["per_cent"]),
        ("nothing like it", vec![]),
    ] {
        let search = Some(words.into());
        assert_eq!(
            found(CatalogFilter { search, ..all() }).await,
            expected,
            "{words}"
        );
    }
}
