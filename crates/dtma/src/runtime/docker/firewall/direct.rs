//! Lets in at an instance's own port whom its owner named, and nobody else (TOOL-11).
//!
//! Each such instance has a chain of its own with its sources and a refusal at the end, so nothing
//! has to be known of other instances and a DTMA that was killed leaves every chain as it was. All
//! traffic that was *sent to* the instance's port of the machine passes it, however it arrives:
//!
//! | comes from | passes |
//! |---|---|
//! | elsewhere, or another container | `DOCKER-USER`, after the engine changed its destination |
//! | this machine, to one of its outer addresses | `OUTPUT`, likewise |
//! | this machine, to its loopback address | `INPUT`, to the engine's proxy |
//!
//! `DOCKER-USER` and `INPUT` are asked for every packet, so whoever is no longer allowed loses also
//! the connections that are open. The rules stand before the port is published and go after it is
//! not any more. They are for IPv4 because ports are published for IPv4 only ([`super::super::body`]).

use std::fmt::Write as _;

use agentopia_domain::InstanceId;
use agentopia_domain::direct_access::Sources;
use ipnet::IpNet;
use tokio::process::Command;

use super::{iptables, restore, run};
use crate::runtime::{ErrorCode, RuntimeError};

/// Where traffic to published ports passes, and whether its destination was changed by then. What
/// has the port number by chance and was not redirected is not for us.
const HOOKS: [(&str, &[&str]); 3] = [
    ("DOCKER-USER", &["--ctstate", "DNAT"]),
    ("OUTPUT", &["--ctstate", "DNAT"]),
    ("INPUT", &[]),
];

/// The chain of an instance. Names of chains have at most 28 characters; the end of an id is random.
fn chain(id: InstanceId) -> String {
    format!("AGENTOPIA-{:016X}", id.as_uuid().as_u64_pair().1)
}

/// Makes the machine let `sources` in at `port`, and nobody else. Safe to repeat.
///
/// # Errors
/// `Unsupported` where the machine can't be told: the port must not be published then.
pub(in super::super) async fn admit(
    id: InstanceId,
    port: u16,
    sources: &Sources,
) -> Result<(), RuntimeError> {
    set(id, port, sources).await.map_err(|error| {
        RuntimeError::new(
            ErrorCode::Unsupported,
            format!(
                "this machine can't restrict who reaches the tool's port ({error}): run the DTMA as \
                 root, install iptables, and run the engine with its default iptables=true"
            ),
        )
    })
}

async fn set(id: InstanceId, port: u16, sources: &Sources) -> Result<(), String> {
    let chain = chain(id);
    restore("iptables-restore", &script(&chain, sources)).await?;
    for (hook, redirected) in HOOKS {
        let port = port.to_string();
        let mut rule = vec!["-m", "conntrack"];
        rule.extend(redirected);
        rule.extend([
            "--ctorigdstport",
            &port,
            "--ctdir",
            "ORIGINAL",
            "-j",
            &chain,
        ]);
        if iptables("-C", hook, &rule).await.is_err() {
            iptables("-I", hook, &rule).await?;
        }
    }
    Ok(())
}

/// The chain's content, which replaces what it had in one step.
fn script(chain: &str, sources: &Sources) -> String {
    let mut text = format!("*filter\n:{chain} - [0:0]\n");
    for network in sources.iter() {
        if let IpNet::V4(network) = network {
            // Writing to a text can't fail.
            let _ = writeln!(text, "-A {chain} -s {network} -j RETURN");
        }
    }
    let _ = write!(text, "-A {chain} -j REJECT\nCOMMIT\n");
    text
}

/// Takes away what [`admit`] made; nothing to take away is fine. Only once the port is not published
/// any more: without the rules everybody could reach it.
pub(in super::super) async fn shut(id: InstanceId) {
    let chain = chain(id);
    let mut list = Command::new("iptables");
    list.args(["-w", "5", "-S"]);
    // Without iptables, or the right to use it, there never were any rules.
    let Ok(rules) = run(list).await else {
        return;
    };
    for arguments in removals(&rules, &chain) {
        let mut command = Command::new("iptables");
        command.args(["-w", "5"]).args(&arguments);
        if let Err(error) = run(command).await {
            tracing::warn!(instance = %id, %error, "a rule of the machine's firewall stays");
        }
    }
}

/// The arguments that undo every rule of the listing that leads to `chain`, then the chain itself.
fn removals(listing: &str, chain: &str) -> Vec<Vec<String>> {
    let words = |text: &str| text.split_ascii_whitespace().map(str::to_owned).collect();
    let leads_there = |line: &&str| line.split_ascii_whitespace().next_back() == Some(chain);
    let mut steps: Vec<Vec<String>> = listing
        .lines()
        .filter(leads_there)
        .filter_map(|line| line.strip_prefix("-A "))
        .map(|rule| words(&format!("-D {rule}")))
        .collect();
    if listing.lines().any(|line| line == format!("-N {chain}")) {
        steps.extend(["-F", "-X"].map(|action| words(&format!("{action} {chain}"))));
    }
    steps
}

#[cfg(test)]
mod tests {
    use agentopia_domain::Ambient;

    use super::*;

    #[test]
    fn a_chain_returns_its_sources_and_refuses_the_rest() {
        let sources = Sources::parse(["10.0.0.0/8", "203.0.113.7", "2001:db8::/32"]).unwrap();
        assert_eq!(
            script("C", &sources),
            "*filter\n:C - [0:0]\n-A C -s 10.0.0.0/8 -j RETURN\n-A C -s 203.0.113.7/32 -j RETURN\n\
             -A C -j REJECT\nCOMMIT\n"
        );
        let nobody_here = Sources::parse(["::/0"]).unwrap();
        assert_eq!(
            script("C", &nobody_here),
            "*filter\n:C - [0:0]\n-A C -j REJECT\nCOMMIT\n"
        );
    }

    #[test]
    fn names_are_short_enough_and_each_instances_own() {
        let ambient = Ambient::system();
        let (one, other) = (chain(ambient.new_id()), chain(ambient.new_id()));
        assert!(one.len() <= 28 && one != other, "{one} {other}");
    }

    #[test]
    fn only_what_leads_to_the_chain_is_taken_away() {
        let listing = "-P INPUT ACCEPT\n-N AGENTOPIA-1\n-N AGENTOPIA-12\n\
                       -A INPUT -m conntrack --ctorigdstport 30100 --ctdir ORIGINAL -j AGENTOPIA-1\n\
                       -A INPUT -m conntrack --ctorigdstport 30101 --ctdir ORIGINAL -j AGENTOPIA-12\n\
                       -A AGENTOPIA-1 -j REJECT\n";
        let steps = removals(listing, "AGENTOPIA-1")
            .into_iter()
            .map(|step| step.join(" "));
        assert_eq!(
            steps.collect::<Vec<_>>(),
            [
                "-D INPUT -m conntrack --ctorigdstport 30100 --ctdir ORIGINAL -j AGENTOPIA-1",
                "-F AGENTOPIA-1",
                "-X AGENTOPIA-1",
            ]
        );
        assert!(removals("-P INPUT ACCEPT\n", "AGENTOPIA-1").is_empty());
    }
}
