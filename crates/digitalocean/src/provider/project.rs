//! Putting a droplet into the project that the operator named. Projects are for people's overview: a
//! droplet in the wrong one serves all the same, so what goes wrong here costs nobody a machine.

use agentopia_cloud::{ProviderError, Sought};

use super::DigitalOceanProvider;
use super::trouble::trouble;
use crate::DropletId;
use crate::projects::{ProjectRef, Urn};

impl DigitalOceanProvider {
    pub(super) async fn put_in_project(&self, sought: Sought<'_>) -> Result<(), ProviderError> {
        let (Some(id), Some(known)) = (&self.settings.project, sought.known) else {
            return Ok(());
        };
        let Ok(droplet) = known.parse().map(DropletId) else {
            return Ok(());
        };
        let project = ProjectRef::Id(id.clone());
        let things = [Urn::droplet(droplet)];
        let assigned = self.api.projects().assign(&project, &things).await;
        let assigned = assigned.map_err(trouble)?;
        match assigned.iter().find(|thing| !thing.is_in()) {
            None => Ok(()),
            Some(refused) => Err(ProviderError::Retryable(format!(
                "DigitalOcean says `{}` of droplet {droplet}",
                refused.status
            ))),
        }
    }
}
