//! Writes rules into the kernel, and takes them away again, with the `iptables` programs.

use std::path::Path;

use agentopia_domain::InstanceId;
use tokio::process::Command;

use super::super::firewall::{restore, run};
use super::rules::{Place, REFUSALS, name};

/// The program of IPv4 and that of IPv6.
const V4: &str = "iptables";
const V6: &str = "ip6tables";
/// There where the kernel speaks IPv6 at all.
const HAS_V6: &str = "/proc/net/if_inet6";

/// Makes the instance's chain `rules` and leads everything from its bridge there, each in one step, where
/// they are not so already.
pub(super) async fn write(id: InstanceId, place: Place, rules: &[String]) -> Result<(), String> {
    for (table, chain, rule) in REFUSALS {
        let ensured = ensure(table, chain, rule).await;
        if let Err(error) = ensured {
            if table == "mangle" {
                return Err(error);
            }
            // Then what is refused is dropped, and a tool waits for its own timeout.
            tracing::debug!(chain, %error, "refused connections are not answered");
        }
    }
    write_with(V4, id, place, rules).await?;
    if Path::new(HAS_V6).exists() {
        // Containers have no address of it but what the kernel gives to a link.
        let nothing = [format!("-A {} -j DROP", name(id))];
        write_with(V6, id, place, &nothing).await?;
    }
    Ok(())
}

async fn write_with(
    program: &str,
    id: InstanceId,
    place: Place,
    rules: &[String],
) -> Result<(), String> {
    let listing = list(program).await?;
    match script(&listing, id, place, rules) {
        Some(script) => restore(&format!("{program}-restore"), &script).await,
        None => Ok(()),
    }
}

/// What has to be done; `None` if nothing.
fn script(listing: &str, id: InstanceId, place: Place, rules: &[String]) -> Option<String> {
    let chain = name(id);
    let own = format!("-A {chain} ");
    let there: Vec<&str> = listing.lines().filter(|it| it.starts_with(&own)).collect();
    let hook = format!("-A PREROUTING {}", place.hook(id));
    let hooks: Vec<&str> = hooks(listing, &chain).collect();
    if there == rules && hooks == [hook.as_str()] {
        return None;
    }
    let mut text = format!("*mangle\n:{chain} - [0:0]\n");
    for rule in rules {
        text.push_str(rule);
        text.push('\n');
    }
    if hooks != [hook.as_str()] {
        for old in hooks {
            text.push_str(&format!("-D {}\n", &old[3..]));
        }
        text.push_str(&format!("-I {}\n", &hook[3..]));
    }
    text.push_str("COMMIT\n");
    Some(text)
}

/// The rules that lead to the chain.
fn hooks<'a>(listing: &'a str, chain: &'a str) -> impl Iterator<Item = &'a str> {
    listing.lines().filter(move |line| {
        line.starts_with("-A ") && line.split_ascii_whitespace().next_back() == Some(chain)
    })
}

/// Takes away what [`write`] made for the instance; nothing to take away is fine.
pub(super) async fn remove(id: InstanceId) {
    let chain = name(id);
    for program in [V4, V6] {
        // Without the program, or the right to use it, there never were any rules.
        let Ok(listing) = list(program).await else {
            continue;
        };
        let declared = format!("-N {chain}");
        if !listing.lines().any(|line| line == declared) {
            continue;
        }
        let mut text = "*mangle\n".to_owned();
        for old in hooks(&listing, &chain) {
            text.push_str(&format!("-D {}\n", &old[3..]));
        }
        text.push_str(&format!("-F {chain}\n-X {chain}\nCOMMIT\n"));
        if let Err(error) = restore(&format!("{program}-restore"), &text).await {
            tracing::warn!(instance = %id, %error, "rules of the machine's firewall stay");
        }
    }
}

async fn list(program: &str) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(["-w", "5", "-t", "mangle", "-S"]);
    run(command).await
}

async fn ensure(table: &str, chain: &str, rule: &str) -> Result<(), String> {
    let change = |action: &'static str| {
        let mut command = Command::new(V4);
        command.args(["-w", "5", "-t", table, action, chain]);
        command.args(rule.split(' '));
        run(command)
    };
    if change("-C").await.is_ok() {
        return Ok(());
    }
    change("-I").await.map(drop)
}

#[cfg(test)]
mod tests {
    use agentopia_domain::Ambient;

    use super::*;

    #[test]
    fn only_what_is_not_so_is_written() {
        let id = Ambient::system().new_id();
        let chain = name(id);
        let subnet = "10.201.3.16/28".parse().unwrap();
        let place = Place::new("0123456789ab", subnet, [10, 201, 3, 17].into()).unwrap();
        let rules = [format!("-A {chain} -j DROP")];
        let hook = format!("-A PREROUTING {}", place.hook(id));

        let first = script("-P PREROUTING ACCEPT\n", id, place, &rules).unwrap();
        assert_eq!(
            first,
            format!(
                "*mangle\n:{chain} - [0:0]\n-A {chain} -j DROP\n-I {}\nCOMMIT\n",
                &hook[3..]
            )
        );
        let there = format!("-N {chain}\n{hook}\n-A {chain} -j DROP\n");
        assert_eq!(script(&there, id, place, &rules), None);

        // Somebody took the hook away, or put a rule in front, or the network is another one.
        assert!(script(&there.replace(&hook, ""), id, place, &rules).is_some());
        let opened = there.replace("-j DROP", "-j RETURN");
        let again = script(&opened, id, place, &rules).unwrap();
        assert!(!again.contains("PREROUTING"), "{again}");
        let moved = there.replace("br-0123", "br-ffff");
        let again = script(&moved, id, place, &rules).unwrap();
        assert!(
            again.contains(&format!(
                "-D PREROUTING -i br-ffff456789ab -j {chain}\n-I PREROUTING -i br-0123"
            )),
            "{again}"
        );
    }
}
