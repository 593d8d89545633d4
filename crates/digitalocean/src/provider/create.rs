//! Making one droplet, and never two.
//!
//! DigitalOcean has no idempotency keys. So the request is sent once, and when nobody knows whether
//! it arrived, the droplet is looked for by tag and by name for a while: lists lag behind. What is
//! found has the token of this very call and is taken for its answer.

use std::time::Duration;

use agentopia_cloud::{Machine, MachineRequest, ProviderError, bootstrap};
use tokio::time::{Instant, sleep};

use super::DigitalOceanProvider;
use super::machine::machine;
use super::naming::{droplet_name, environment_tag};
use super::preflight::Place;
use super::trouble::{trouble, unfit};
use crate::droplets::{Droplet, NewDroplet};
use crate::{DropletName, Error, LimitedBy, UserData};

/// How long a droplet is looked for whose request got no clear answer.
const SETTLE: Duration = Duration::from_secs(75);
/// The pause between two looks.
const LOOK: Duration = Duration::from_secs(3);

impl DigitalOceanProvider {
    pub(super) async fn make(&self, request: &MachineRequest) -> Result<Machine, ProviderError> {
        let environment = request.environment;
        self.memo.forget(environment);
        let place = self.preflight(request).await?;
        let new = self.wish(request, place)?;
        self.ensure_base_policy().await?;
        let droplet = match self.leftover(request, &new.name).await? {
            Some(droplet) => droplet,
            None => self.ask_once(request, &new).await?,
        };
        let machine = machine(&droplet);
        self.memo.saw(environment, &machine, false);
        Ok(machine)
    }

    fn wish(&self, request: &MachineRequest, place: Place) -> Result<NewDroplet, ProviderError> {
        let settings = &self.settings;
        let bootstrap = &request.bootstrap;
        let data = bootstrap::user_data(bootstrap, &settings.agent, settings.dtma_port)
            .map_err(|error| ProviderError::Final(error.to_string()))?;
        let name = droplet_name(request.environment, &bootstrap.enrolment_token).map_err(unfit)?;
        let mut new = NewDroplet::new(name, place.size, place.image);
        new.region = Some(place.region);
        new.ssh_keys = place.keys;
        new.monitoring = settings.monitoring;
        new.tags = vec![
            self.naming.product_tag.clone(),
            self.naming.installation_tag.clone(),
            environment_tag(request.environment).map_err(unfit)?,
        ];
        new.user_data = Some(UserData::parse(data).map_err(unfit)?);
        Ok(new)
    }

    /// What earlier calls left behind. A droplet of this very call is its answer; those of earlier
    /// ones have tokens that no longer enrol, and have to go first.
    async fn leftover(
        &self,
        request: &MachineRequest,
        name: &DropletName,
    ) -> Result<Option<Droplet>, ProviderError> {
        let found = self.tagged(request.environment).await?;
        if let Some(own) = oldest_of(&found, name) {
            return Ok(Some(own.clone()));
        }
        if found.is_empty() {
            return Ok(None);
        }
        for stale in &found {
            self.api
                .droplets()
                .delete(stale.id)
                .await
                .map_err(trouble)?;
        }
        Err(ProviderError::Retryable(
            "a droplet of an earlier attempt is being deleted first".to_owned(),
        ))
    }

    async fn ask_once(
        &self,
        request: &MachineRequest,
        new: &NewDroplet,
    ) -> Result<Droplet, ProviderError> {
        match self.api.droplets().create(new).await {
            Ok(created) => Ok(created.droplet),
            Err(error) if may_have_happened(&error) => self.settle(request, new, error).await,
            Err(error) => Err(trouble(error)),
        }
    }

    /// Looks whether a request without a clear answer made its droplet.
    async fn settle(
        &self,
        request: &MachineRequest,
        new: &NewDroplet,
        error: Error,
    ) -> Result<Droplet, ProviderError> {
        tracing::warn!(environment = %request.environment, %error, "looking for the droplet");
        let deadline = Instant::now() + SETTLE;
        loop {
            match self.find_attempt(request, &new.name).await {
                Ok(Some(droplet)) => return Ok(droplet),
                Ok(None) => {}
                // The trouble may well go on for a while; the window is for it too.
                Err(error) => tracing::warn!(%error, "a look for the droplet failed"),
            }
            if Instant::now() + LOOK > deadline {
                return Err(trouble(error));
            }
            sleep(LOOK).await;
        }
    }

    async fn find_attempt(
        &self,
        request: &MachineRequest,
        name: &DropletName,
    ) -> Result<Option<Droplet>, ProviderError> {
        let tagged = self.tagged(request.environment).await?;
        if let Some(droplet) = oldest_of(&tagged, name) {
            return Ok(Some(droplet.clone()));
        }
        let api = self.api.urgent();
        let mut named = api.droplets().list_by_name(name).await.map_err(trouble)?;
        named.retain(|droplet| self.naming.is_ours(droplet, request.environment));
        match oldest_of(&named, name) {
            Some(droplet) => api.droplets().get(droplet.id).await.map_err(trouble),
            None => Ok(None),
        }
    }
}

/// Whether a droplet may be there in spite of the error. A 429 should mean that none is, but whatever
/// counts requests may stand on the answer's way as well: looking costs a minute, a second droplet money.
fn may_have_happened(error: &Error) -> bool {
    match error {
        Error::Ambiguous(_) => true,
        Error::RateLimited(limited) => limited.by == LimitedBy::DigitalOcean,
        Error::Retryable(_) | Error::Final(_) => false,
    }
}

fn oldest_of<'d>(droplets: &'d [Droplet], name: &DropletName) -> Option<&'d Droplet> {
    let same = |droplet: &&Droplet| droplet.name.eq_ignore_ascii_case(name.as_str());
    let droplets = droplets.iter().filter(same);
    droplets.min_by_key(|droplet| (droplet.created_at, droplet.id))
}
