//! The internet, played by a network namespace on a wire to this machine, with an HTTP server in it; and name
//! servers. Its addresses look public, because private ones are held differently.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command};
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{RData, Record, RecordType};
use parking_lot::Mutex;
use tokio::net::UdpSocket;

use crate::support;

/// Where its server listens.
pub(super) const PORT: u16 = 8443;

pub(super) struct Elsewhere {
    name: String,
    /// The server's address.
    pub(super) far: Ipv4Addr,
    /// Another address there, of another name.
    pub(super) other: Ipv4Addr,
    server: Child,
}

impl Elsewhere {
    /// `kind` tells the namespaces of several tests of one process apart.
    pub(super) fn new(kind: u8) -> Self {
        let number = std::process::id();
        let [_, _, a, b] = number.to_be_bytes();
        let base = u32::from(Ipv4Addr::new(11, a, b, kind * 8));
        let [near, far, other] = [1, 2, 3].map(|step| Ipv4Addr::from(base + step));
        let name = format!("age{kind}-{number}");
        ip(&format!("netns add {name}"));
        ip(&format!(
            "link add {name}h type veth peer name {name}n netns {name}"
        ));
        ip(&format!("addr add {near}/29 dev {name}h"));
        ip(&format!("link set {name}h up"));
        for address in [far, other] {
            ip(&format!("-n {name} addr add {address}/29 dev {name}n"));
        }
        ip(&format!("-n {name} link set {name}n up"));
        // What arrives is counted before anybody answers; the end of a connection may come late, and is none.
        let mut count = Command::new("ip");
        count.args(["netns", "exec", &name, "iptables", "-A", "INPUT"]);
        count.args(["-m", "conntrack", "--ctstate", "NEW"]);
        assert!(count.status().unwrap().success());
        let server = Command::new("ip")
            .args(["netns", "exec", &name])
            .arg(support::static_binaries().join("agentopia-echo"))
            .args(["--http", &format!("0.0.0.0:{PORT}")])
            .spawn()
            .unwrap();
        Self {
            name,
            far,
            other,
            server,
        }
    }

    /// How many packets of a new conversation arrived there, of whatever kind.
    pub(super) fn arrived(&self) -> u64 {
        let mut list = Command::new("ip");
        list.args(["netns", "exec", &self.name, "iptables", "-nvxL", "INPUT"]);
        let listing = String::from_utf8(list.output().unwrap().stdout).unwrap();
        let rule = listing.lines().nth(2).unwrap();
        rule.split_ascii_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _gone = Command::new("ip")
            .args(["netns", "del", &self.name])
            .status();
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ip {arguments}: {said}");
}

/// A name server of the internet: knows some names, and remembers all that it was asked.
#[derive(Clone)]
pub(super) struct NameServer {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl NameServer {
    pub(super) async fn start(names: &[(&str, Ipv4Addr)]) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let this = Self {
            address: socket.local_addr().unwrap(),
            asked: Arc::default(),
        };
        let names: Vec<(String, Ipv4Addr)> = names
            .iter()
            .map(|(name, address)| (format!("{name}."), *address))
            .collect();
        let asked = Arc::clone(&this.asked);
        tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let query = question.queries[0].clone();
                let name = query.name().to_ascii().to_ascii_lowercase();
                let found = names.iter().find(|(known, _)| *known == name);
                let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
                answer.metadata.recursion_available = true;
                match found {
                    Some((_, address)) if query.query_type() == RecordType::A => {
                        let data = RData::A(A(*address));
                        answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
                    }
                    Some(_) => {}
                    None => answer.metadata.response_code = ResponseCode::NXDomain,
                }
                answer.add_query(query);
                asked.lock().push(name);
                socket
                    .send_to(&answer.to_vec().unwrap(), peer)
                    .await
                    .unwrap();
            }
        });
        this
    }

    /// Every name that it was asked for.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }
}
