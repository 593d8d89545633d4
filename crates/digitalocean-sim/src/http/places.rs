//! `/v2/regions` and `/v2/sizes`.

use super::answer::Handled;
use super::call::Call;
use super::render;
use crate::state::{REGIONS, SIZES};

pub(super) async fn regions(call: Call) -> Handled {
    call.allow(&["regions:read"])?;
    call.page("regions", &REGIONS, render::region)
}

pub(super) async fn sizes(call: Call) -> Handled {
    call.allow(&["sizes:read", "regions:read"])?;
    call.page("sizes", &SIZES, render::size)
}
