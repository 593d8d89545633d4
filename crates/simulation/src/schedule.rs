//! What is to happen in one run: who is there, what people do, and what goes wrong. Data; a seed
//! makes one at random, `steps` makes them one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use digitalocean_sim::faults::{Answer, FaultPlan, Rates, ResourceFault};
use digitalocean_sim::settings::{Delay, Delays, Settings};

use crate::conductor::{Blow, Order, Strike};
use crate::dice::Dice;

/// By how much the clock of a replica is wrong at most, in milliseconds. Heartbeats are written down
/// by one replica and judged by another; their limit is 30 seconds.
const CLOCKS_WRONG_BY: u64 = 10_000;

/// Sizes that people ask for; the first is what machines are made with, the last has a smaller disk.
const SIZES: [&str; 4] = ["s-1vcpu-2gb", "s-2vcpu-4gb", "s-4vcpu-8gb", "s-1vcpu-1gb"];

/// See the module's header.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Of all chance in it.
    pub seed: u64,
    pub(crate) order: Order,
    /// By how many milliseconds the clock of each replica is wrong.
    pub(crate) replicas: Vec<i64>,
    pub(crate) accounts: usize,
    /// What happens when, in order.
    pub(crate) acts: Vec<(Duration, Act)>,
    /// When all faults end.
    pub(crate) turmoil: Duration,
    pub(crate) settings: Settings,
    pub(crate) faults: FaultPlan,
    /// How many of a hundred answers to machines are lost.
    pub(crate) lost_answers: u64,
    /// From a machine's power to its first request, in milliseconds.
    pub(crate) boot: (u64, u64),
    /// How many machines, from the first, fail at their first start.
    pub(crate) bad_starts: u32,
    /// Whether somebody else has droplets with confusing tags on the same account.
    pub(crate) strangers: bool,
    /// Whether an earlier version of the installation left its firewall.
    pub(crate) old_firewall: bool,
    /// How long people wait before they try again what ended in an error.
    pub(crate) patience: Duration,
    /// At how many turns of replicas from the one before the one dies that has it.
    pub(crate) crashes: Vec<u64>,
    /// From when on effects count, and what goes wrong with which.
    pub(crate) strikes: (Duration, Vec<Strike>),
    /// Whether all has to come right without anybody's help: a fault or two that pass are no reason to
    /// bother people.
    pub(crate) heals_itself: bool,
    /// Whether faults end with the last of these, and not only at the end of `turmoil`: nobody wants
    /// to know what further effects there would be.
    pub(crate) ends_with_strikes: bool,
}

/// Something that happens at a certain time. Accounts and replicas are named by their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// An account wants its environment.
    Enable(usize),
    /// It no longer does.
    Disable(usize),
    /// A replica dies, and is started again soon.
    Crash(usize),
    /// A replica stands still for so long.
    Pause(usize, Duration),
    /// An account wants this size.
    Scale(usize, &'static str),
    /// An account deploys a tool.
    Deploy(usize),
    /// It deploys one that is reached directly.
    DeployOpen(usize),
    /// It stops its oldest tool.
    Stop(usize),
    /// It starts it.
    Start(usize),
    /// It removes it.
    Remove(usize),
    /// DigitalOcean loses the machine of an account.
    Destroy(usize),
    /// It goes off.
    TurnOff(usize),
    /// DigitalOcean answers nobody for so long.
    Outage(Duration),
}

impl Schedule {
    /// One account, one replica, nothing goes wrong; people do `acts`.
    pub(crate) fn calm(seed: u64, acts: Vec<(Duration, Act)>) -> Self {
        let last = acts.last().map_or(Duration::ZERO, |(at, _)| *at);
        let seconds = |count| Delay::exactly(Duration::from_secs(count));
        let settings = Settings {
            delays: Delays {
                create: seconds(4),
                address: seconds(2),
                delete: seconds(3),
                tag_list: seconds(2),
                power: seconds(2),
                ..Delays::none()
            },
            ..Settings::default()
        };
        Self {
            seed,
            order: Order::Fair,
            replicas: vec![0],
            accounts: 1,
            acts,
            turmoil: last + Duration::from_secs(1),
            settings,
            faults: FaultPlan::default(),
            lost_answers: 0,
            boot: (5_000, 5_000),
            bad_starts: 0,
            strangers: false,
            old_firewall: false,
            patience: Duration::from_secs(60),
            crashes: Vec::new(),
            strikes: (Duration::ZERO, Vec::new()),
            heals_itself: false,
            ends_with_strikes: false,
        }
    }

    /// The one that this seed stands for.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0);
        let replicas = dice.one_of(&[1, 1, 2, 2, 3]);
        let accounts = dice.one_of(&[1, 1, 1, 2, 3]);
        let turmoil = dice.millis(60_000, 200_000);
        let clocks = (0..replicas).map(|_| {
            let wrong = dice.below(2 * CLOCKS_WRONG_BY + 1);
            i64::try_from(wrong).unwrap_or(0) - i64::try_from(CLOCKS_WRONG_BY).unwrap_or(0)
        });
        let clocks = clocks.collect();
        let acts = acts(&mut dice, accounts, replicas, turmoil);
        let delays = Delays {
            tag_list: dice.one_of(&[Delay::ZERO, Delay::seconds(0, 3), Delay::seconds(2, 20)]),
            create: dice.one_of(&[Delay::seconds(2, 10), Delay::seconds(15, 45)]),
            address: dice.one_of(&[Delay::ZERO, Delay::seconds(0, 5), Delay::seconds(5, 60)]),
            delete: dice.one_of(&[Delay::ZERO, Delay::seconds(1, 10), Delay::seconds(10, 40)]),
            ..Delays::default()
        };
        let bad_starts = dice.one_of(&[0, 0, 0, 0, 0, 0, 0, 1]);
        let crashes = dice.one_of(&[0, 0, 1, 2, 4]);
        let strikes = strikes(&mut dice);
        Self {
            seed,
            order: Order::Random,
            replicas: clocks,
            accounts,
            acts,
            turmoil,
            settings: Settings {
                delays,
                ..Settings::default()
            },
            faults: faults(&mut dice),
            lost_answers: dice.one_of(&[0, 0, 5, 30]),
            boot: dice.one_of(&[(1_000, 5_000), (10_000, 90_000)]),
            strangers: dice.percent(30),
            // Not the longest twice: all has to be over in time.
            patience: Duration::from_secs(dice.one_of(match bad_starts {
                0 => &[30, 60, 60, 1200],
                _ => &[30, 60, 660, 660],
            })),
            crashes: (0..crashes).map(|_| 1 + dice.below(250)).collect(),
            strikes: (Duration::ZERO, strikes),
            bad_starts,
            old_firewall: dice.percent(20),
            heals_itself: false,
            ends_with_strikes: false,
        }
    }
}

/// Blows at some of the first effects.
fn strikes(dice: &mut Dice) -> Vec<Strike> {
    let count = dice.one_of(&[0, 0, 1, 2, 3, 5]);
    let blows = [
        Blow::Fails,
        Blow::CrashBefore,
        Blow::CrashAfter,
        Blow::CrashAfter,
        Blow::Repeated,
    ];
    let some = (0..count).map(|_| Strike {
        at: 1 + dice.index(60),
        blow: dice.one_of(&blows),
    });
    some.collect()
}

fn acts(
    dice: &mut Dice,
    accounts: usize,
    replicas: usize,
    turmoil: Duration,
) -> Vec<(Duration, Act)> {
    let mut acts = Vec::new();
    let end = u64::try_from(turmoil.as_millis()).unwrap_or(u64::MAX);
    for account in 0..accounts {
        acts.push((dice.millis(0, 5_000), Act::Enable(account)));
        for _ in 0..dice.below(8) {
            // Half of them while it is being made.
            let early = dice.percent(50);
            let at = dice.millis(0, if early { 60_000 } else { end });
            let act = match dice.below(17) {
                0..=2 => Act::Disable(account),
                3..=4 => Act::Enable(account),
                5..=6 => Act::Scale(account, dice.one_of(&SIZES)),
                7 => Act::TurnOff(account),
                8..=9 => Act::Destroy(account),
                10..=11 => Act::Deploy(account),
                12 => Act::DeployOpen(account),
                13 => Act::Stop(account),
                14 => Act::Start(account),
                15 => Act::Remove(account),
                _ => Act::Outage(dice.millis(5_000, 90_000)),
            };
            acts.push((at, act));
        }
    }
    for replica in 0..replicas {
        for _ in 0..dice.below(3) {
            let at = dice.millis(0, end);
            let act = match dice.percent(60) {
                true => Act::Crash(replica),
                false => Act::Pause(replica, dice.millis(500, 40_000)),
            };
            acts.push((at, act));
        }
    }
    acts.sort_by_key(|(at, _)| *at);
    acts
}

fn faults(dice: &mut Dice) -> FaultPlan {
    let mut rates = Rates::default();
    if dice.percent(70) {
        let answers = [
            Answer::TooManyBurst,
            Answer::TooManyHourly,
            Answer::ServerError,
            Answer::BadGateway,
            Answer::Unavailable,
            Answer::GatewayTimeout,
            Answer::Closed,
            Answer::Silent,
        ];
        let share = dice.one_of(&[0.002, 0.01, 0.05, 0.15]);
        let chosen = answers.into_iter().filter(|_| dice.percent(50));
        rates.request = chosen
            .map(|answer| (answer, share))
            .collect::<BTreeMap<_, _>>();
    }
    let faults = [
        ResourceFault::StuckNew,
        ResourceFault::Vanish,
        ResourceFault::CreateErrored,
        ResourceFault::IpLate,
        ResourceFault::ListLag,
        ResourceFault::ActionErrored,
        ResourceFault::ActionRolledBack,
        ResourceFault::ShutdownIgnored,
        ResourceFault::ResizeRefused,
        ResourceFault::Survivor,
        ResourceFault::FirewallFailed,
    ];
    if dice.percent(70) {
        let share = dice.one_of(&[0.05, 0.2, 0.5]);
        let chosen = faults.into_iter().filter(|_| dice.percent(35));
        rates.resource = chosen
            .map(|fault| (fault, share))
            .collect::<BTreeMap<_, _>>();
    }
    FaultPlan {
        rates,
        ..FaultPlan::default()
    }
}
