//! What was asked.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};

use crate::journal::{Creations, JournalEntry, JournalFilter};
use crate::simulator::Simulator;

pub(super) async fn read(
    State(simulator): State<Simulator>,
    Query(filter): Query<JournalFilter>,
) -> Json<Vec<JournalEntry>> {
    Json(simulator.journal(&filter))
}

pub(super) async fn creations(
    State(simulator): State<Simulator>,
) -> Json<BTreeMap<String, Creations>> {
    Json(simulator.creations())
}
