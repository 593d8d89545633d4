//! `GET /api/v1/environment/usage`: what was measured of the machine or of an instance.

use agentopia_api::Problem;
use agentopia_api::environment::{UsageQuery, UsageSample, UsageSeries};
use agentopia_domain::metrics::StoredUsage;
use axum::Json;
use chrono::Duration;

use crate::http::extract::{Call, Params};
use crate::problem::{Answer, Refusal, kind};

const DEFAULT_SECONDS: u64 = 3600;
const MAX_SECONDS: u64 = 24 * 3600;
/// How many are read at once.
const CHUNK: u32 = 10_000;
/// How many are sent at most (`shared/ui.md`: a chart has no use for more).
const MAX_POINTS: usize = 1000;

/// What was measured, oldest first, at most 1,000 measurements: more are thinned out evenly.
#[utoipa::path(
    get,
    path = "/api/v1/environment/usage",
    operation_id = "environment_usage",
    tag = "environment",
    security(("session" = []), ("token" = [])),
    params(UsageQuery),
    responses(
        (status = 200, description = "Measurements", body = UsageSeries),
        (status = 404, description = "not_found", body = Problem, content_type = "application/problem+json"),
        (status = "default", description = "A problem", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn handler(
    call: Call,
    Params(query): Params<UsageQuery>,
) -> Answer<Json<UsageSeries>> {
    let seconds = query.since_seconds.unwrap_or(DEFAULT_SECONDS);
    if !(1..=MAX_SECONDS).contains(&seconds) {
        return Err(Refusal::new(
            kind::INVALID_QUERY,
            format!("`since_seconds` must be 1 to {MAX_SECONDS}"),
        ));
    }
    let account = call.account();
    let environment = call
        .store()
        .environments()
        .find(account)
        .await?
        .ok_or_else(|| {
            let never = "the tool environment was never turned on, so nothing was measured";
            Refusal::new(kind::NOT_FOUND, never)
        })?;
    if let Some(instance) = query.instance_id {
        call.store().instances().get(account, instance).await?;
    }
    let until = call.now();
    let mut from = until - Duration::seconds(i64::try_from(seconds).unwrap_or(i64::MAX));
    let mut samples: Vec<StoredUsage> = Vec::new();
    loop {
        let chunk = call
            .store()
            .metrics()
            .list(
                account,
                environment.id,
                query.instance_id,
                from,
                until,
                CHUNK,
            )
            .await?;
        let full = chunk.len() == CHUNK as usize;
        if let Some(last) = chunk.last() {
            from = last.at + Duration::microseconds(1);
        }
        samples.extend(chunk);
        if !full {
            break;
        }
    }
    Ok(Json(UsageSeries {
        capacity: environment.capacity,
        samples: thin(samples, MAX_POINTS)
            .into_iter()
            .map(UsageSample::from)
            .collect(),
    }))
}

/// At most `most` of the items, evenly chosen, the last always among them.
fn thin<T>(items: Vec<T>, most: usize) -> Vec<T> {
    let len = items.len();
    if len <= most {
        return items;
    }
    let step = len.div_ceil(most);
    items
        .into_iter()
        .enumerate()
        .filter(|(index, _)| (len - 1 - index).is_multiple_of(step))
        .map(|(_, item)| item)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::thin;

    #[test]
    fn thinning_keeps_the_newest_and_the_order() {
        assert_eq!(thin(vec![1, 2, 3], 3), [1, 2, 3]);
        let thinned = thin((0..2500).collect::<Vec<_>>(), 1000);
        assert!(thinned.len() <= 1000 && thinned.len() > 800);
        assert_eq!(thinned.last(), Some(&2499));
        assert!(thinned.is_sorted());
    }
}
