//! What the provider has of ours that belongs to nobody, as the last search found it.

use agentopia_domain::verification::Check;
use agentopia_store::Store;

pub(super) const ORPHANS: &str = "provider.orphans";

pub(super) async fn orphans(store: &Store) -> Check {
    match store.orphans().list().await {
        Ok(found) if found.is_empty() => Check::ok(ORPHANS, "the last search found none"),
        Ok(found) => {
            let names: Vec<&str> = found.iter().map(|each| each.name.as_str()).collect();
            Check::warning(
                ORPHANS,
                format!(
                    "{} things at the provider belong to no environment ({}): look at `agentopia \
                     admin orphans`, and remove them there or let `orphans = \"remove\"` do it",
                    found.len(),
                    names.join(", ")
                ),
            )
        }
        Err(error) => Check::failed(ORPHANS, format!("what was found can't be read: {error}")),
    }
}
