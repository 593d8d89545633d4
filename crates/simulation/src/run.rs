//! Runs one schedule, from an empty world to the verdict.

use std::sync::Arc;
use std::time::Duration;

use agentopia_domain::AccountId;
use agentopia_store::InstanceIntent;
use digitalocean_sim::faults::FaultPlan;
use tokio::time::{Instant, sleep, sleep_until};

use crate::checks;
use crate::conductor::{Effect, Party};
use crate::firewalls;
use crate::people;
use crate::schedule::{Act, Schedule};
use crate::stranger;
use crate::template::Template;
use crate::world::World;

/// How long after the faults everything may take to be as it is wanted. Longest is the way of a
/// droplet that never leaves `new`: it is given up after a quarter of an hour.
const CONVERGENCE: Duration = Duration::from_secs(40 * 60);
/// How long a machine may be paid for that nobody has any use for, once DigitalOcean answers again.
pub const WASTE: Duration = Duration::from_secs(10 * 60);
/// How long all has to stay as it is wanted before it counts.
const STEADY: Duration = Duration::from_secs(30);
/// How often one looks.
const LOOK: Duration = Duration::from_secs(5);
/// How soon a replica that died is started again, in milliseconds.
const RESTART: (u64, u64) = (200, 20_000);

/// What became of a schedule.
#[derive(Debug)]
pub struct Verdict {
    /// What should not be; empty if all is well.
    pub wrong: Vec<String>,
    /// What happened, line by line.
    pub trace: Vec<String>,
    /// The hash of that.
    pub hash: String,
    /// How long it was in virtual time.
    pub lasted: Duration,
    pub(crate) effects: Vec<Effect>,
}

/// Runs a schedule. `name` is that of no other schedule that runs at the time.
///
/// # Errors
/// When the world can't be made: what goes wrong in it is in the verdict.
pub fn run(template: &Template, schedule: &Schedule, name: &str) -> anyhow::Result<Verdict> {
    // Opening takes real time, and a runtime whose clock stood still from its beginning is the only
    // one in which timers are always rounded the same way. So it is done in another one.
    let opening = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()?;
    let database = opening.block_on(template.copy(name))?;
    // With it goes what it still had to do: giving connections back that nobody would wait for.
    drop(opening);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        // The main future comes back from `yield_now` only when nothing else can run.
        .event_interval(u32::MAX)
        .build()?;
    runtime.block_on(async {
        let world = World::new(template, schedule, database)?;
        let director = Director {
            world: Arc::clone(&world),
            schedule: schedule.clone(),
        };
        let directed = tokio::spawn(async move {
            let effects = director.direct().await;
            director.world.conductor.end();
            effects
        });
        world.conductor.conduct().await;
        let effects = directed.await?;
        let lasted = world.clock.elapsed();
        world.shut();
        let (mut wrong, effects) = match effects {
            Ok(effects) => (world.take_wrong(), effects),
            Err(error) => (
                vec![format!("the simulation itself failed: {error:#}")],
                Vec::new(),
            ),
        };
        wrong.dedup();
        let (trace, hash) = world.trace.finish();
        Ok(Verdict {
            wrong,
            trace,
            hash,
            lasted,
            effects,
        })
    })
}

struct Director {
    world: Arc<World>,
    schedule: Schedule,
}

impl Director {
    async fn direct(&self) -> anyhow::Result<Vec<Effect>> {
        let world = &self.world;
        let mut accounts = Vec::new();
        for number in 0..self.schedule.accounts {
            accounts.push(people::sign_up(world, number).await?);
        }
        world.start_missing()?;
        for ahead in &self.schedule.crashes {
            world.conductor.crash_ahead(*ahead);
        }
        if self.schedule.old_firewall {
            stranger::leave_firewall(world).await;
        }
        if self.schedule.strangers {
            for account in accounts.clone() {
                let world = Arc::clone(world);
                tokio::spawn(async move { stranger::settle(&world, account).await });
            }
        }
        let keeper = tokio::spawn(keep(Arc::clone(world)));
        let begin = Instant::now();
        let (from, strikes) = &self.schedule.strikes;
        let mut counts = false;
        for (at, act) in &self.schedule.acts {
            if !counts && at >= from {
                sleep_until(begin + *from).await;
                world.conductor.count(strikes.clone());
                counts = true;
            }
            sleep_until(begin + *at).await;
            tokio::spawn(act_out(Arc::clone(world), accounts.clone(), *act));
        }
        tokio::select! {
            biased;
            () = world.conductor.struck.notified(), if self.schedule.ends_with_strikes => {}
            () = sleep_until(begin + self.schedule.turmoil) => {}
        }
        let effects = self.calm();
        self.settle(&accounts).await?;
        keeper.abort();
        Ok(effects)
    }

    /// Ends all faults.
    fn calm(&self) -> Vec<Effect> {
        let world = &self.world;
        world.trace.say("all faults end");
        let effects = world.conductor.calm();
        world.simulator.set_faults(FaultPlan::default());
        let mut settings = world.simulator.settings();
        settings.delays = Schedule::calm(0, Vec::new()).settings.delays;
        world.simulator.set_settings(settings);
        world.lose_nothing();
        world.resume_all();
        effects
    }

    /// Waits until everything is as it is wanted.
    async fn settle(&self, accounts: &[AccountId]) -> anyhow::Result<()> {
        let (world, begin) = (&self.world, Instant::now());
        let store = world.store_of(Party::Watcher);
        let mut good_since: Option<Instant> = None;
        let mut tried = begin;
        let mut waste_since: Vec<Option<Instant>> = vec![None; accounts.len()];
        let owners = loop {
            sleep(LOOK).await;
            let mut lacks = Vec::new();
            let mut owners = Vec::new();
            let try_again = tried.elapsed() >= self.schedule.patience;
            for (place, account) in accounts.iter().enumerate() {
                let Some(picture) = checks::look(world, &store, *account).await? else {
                    continue;
                };
                owners.push(picture.environment.id);
                if let Some(lack) = picture.lacks() {
                    lacks.push(format!("account {place}: {lack}"));
                }
                if picture.waits_for_its_owner() && self.schedule.heals_itself {
                    let said = &picture.environment.error_message;
                    world.wrong(format!("account {place}: it waits for its owner: {said:?}"));
                    return Ok(());
                }
                if picture.waits_for_its_owner() && try_again {
                    world.trace.say(format_args!("person {place} tries again"));
                    people::enable(world, *account).await?;
                }
                let since = &mut waste_since[place];
                match picture.wastes() {
                    false => *since = None,
                    true => {
                        let since = *since.get_or_insert_with(Instant::now);
                        if since.elapsed() > WASTE {
                            let status = picture.environment.status;
                            world.wrong(format!("account {place}: a machine is paid for although the environment is {status:?}"));
                            return Ok(());
                        }
                    }
                }
            }
            if try_again {
                tried = Instant::now();
            }
            if lacks.is_empty() {
                let since = *good_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= STEADY {
                    break owners;
                }
            } else {
                good_since = None;
                if begin.elapsed() > CONVERGENCE {
                    lacks.into_iter().for_each(|lack| world.wrong(lack));
                    return Ok(());
                }
            }
        };
        let ownerless = firewalls::ownerless(world, &owners).await.into_iter();
        let open = firewalls::open_to_all(world).await;
        ownerless.chain(open).for_each(|wrong| world.wrong(wrong));
        Ok(())
    }
}

/// Starts again who fell.
async fn keep(world: Arc<World>) {
    loop {
        let fallen = world.conductor.take_fallen();
        if fallen.is_empty() {
            world.conductor.fell.notified().await;
            continue;
        }
        world.bury(&fallen);
        let (least, most) = RESTART;
        sleep(world.some_time(least, most)).await;
        if let Err(error) = world.start_missing() {
            world.wrong(format!("a replica does not start: {error:#}"));
        }
    }
}

async fn act_out(world: Arc<World>, accounts: Vec<AccountId>, act: Act) {
    world.trace.say(format_args!("{act:?}"));
    if let Err(error) = act_on(&world, &accounts, act).await {
        world.trace.say(format_args!("{act:?}: {error}"));
    }
}

async fn act_on(world: &World, accounts: &[AccountId], act: Act) -> anyhow::Result<()> {
    match act {
        Act::Enable(place) => people::enable(world, accounts[place]).await?,
        Act::Disable(place) => people::disable(world, accounts[place]).await?,
        Act::Scale(place, size) => people::scale(world, accounts[place], size).await?,
        Act::Deploy(place) => people::deploy(world, accounts[place], false).await?,
        Act::DeployOpen(place) => people::deploy(world, accounts[place], true).await?,
        Act::Stop(place) => people::want(world, accounts[place], InstanceIntent::Stop).await?,
        Act::Start(place) => people::want(world, accounts[place], InstanceIntent::Start).await?,
        Act::Remove(place) => {
            let intent = InstanceIntent::Remove { purge_data: false };
            people::want(world, accounts[place], intent).await?;
        }
        Act::Crash(place) => {
            if let Some(replica) = world.replica(place) {
                world.conductor.fall(replica.who);
            }
        }
        Act::Pause(place, span) => {
            if let Some(replica) = world.replica(place) {
                world.conductor.pause(replica.who);
                sleep(span).await;
                world.conductor.resume(replica.who);
            }
        }
        Act::Outage(span) => world.outage(span),
        Act::Destroy(place) => lose(world, accounts[place], false).await?,
        Act::TurnOff(place) => lose(world, accounts[place], true).await?,
    }
    Ok(())
}

/// Something happens to the machine of an account, if it has one.
async fn lose(
    world: &World,
    account: AccountId,
    only_off: bool,
) -> Result<(), agentopia_store::StoreError> {
    let store = world.store_of(Party::Watcher);
    let Some(environment) = store.environments().find(account).await? else {
        return Ok(());
    };
    let known = environment.machine_id.and_then(|id| id.parse().ok());
    if let Some(droplet) = known.map(digitalocean_sim::DropletId) {
        let was_there = match only_off {
            true => world.simulator.stop_from_inside(droplet).await,
            false => world.simulator.destroy(droplet).await,
        };
        world
            .trace
            .say(format_args!("droplet {droplet}: was there: {was_there}"));
    }
    Ok(())
}
