//! What becomes of a question for a name. Pure: the policy and the question in, what to do out.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use agentopia_domain::direct_access::PortProtocol;
use agentopia_domain::egress::Egress;
use agentopia_remote::Network;
use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};

use super::super::subnet;

/// The most addresses in an answer: it fits into the 512 bytes that every program takes.
const MOST_ADDRESSES: usize = 14;

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing: it is no question.
    Silence,
    /// Say this, without addresses.
    Say(ResponseCode),
    /// Ask for its addresses, to be reached at these ports.
    Ask {
        /// In lower case, without a dot at its end.
        name: String,
        /// Never empty.
        ports: BTreeSet<(PortProtocol, u16)>,
    },
}

/// Decides. Only addresses are ever asked for: with other types of records, and with names that the policy
/// does not have, a tool could send to whoever answers for them.
pub(super) fn decide(policy: &Egress, question: &Message) -> Decision {
    if question.metadata.message_type != MessageType::Query {
        return Decision::Silence;
    }
    if question.metadata.op_code != OpCode::Query {
        return Decision::Say(ResponseCode::NotImp);
    }
    let [query] = question.queries.as_slice() else {
        return Decision::Say(ResponseCode::FormErr);
    };
    if query.query_class() != DNSClass::IN {
        return Decision::Say(ResponseCode::Refused);
    }
    let name = query.name().to_ascii().to_ascii_lowercase();
    let name = name.strip_suffix('.').unwrap_or(&name);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let ports = policy.ports_of(name);
    if ports.is_empty() || !name.bytes().all(plain) {
        // Not "refused": programs take that for a resolver that is ill, and try for a long time.
        return Decision::Say(ResponseCode::NXDomain);
    }
    match query.query_type() {
        RecordType::A => Decision::Ask {
            name: name.to_owned(),
            ports,
        },
        // There is such a name; it has nothing of this type.
        _ => Decision::Say(ResponseCode::NoError),
    }
}

/// Those addresses that the tool may have, and the first that it may not: a name must not lead into
/// somebody's private network, unless the policy has that network in so many words.
pub(super) fn sift(
    policy: &Egress,
    found: impl IntoIterator<Item = Ipv4Addr>,
) -> (Vec<Ipv4Addr>, Option<Ipv4Addr>) {
    let mut good = Vec::new();
    let mut bad = None;
    for address in found {
        let tools = subnet::POOL.contains(address);
        let fine = match Network::of(address.into()) {
            Network::Public => true,
            Network::Private | Network::Shared | Network::CloudService => {
                policy.names_address(address)
            }
            _ => false,
        };
        if fine && !tools {
            good.push(address);
        } else {
            bad = bad.or(Some(address));
        }
    }
    good.truncate(MOST_ADDRESSES);
    (good, bad)
}

/// The answer.
pub(super) fn answer(
    question: &Message,
    code: ResponseCode,
    addresses: &[Ipv4Addr],
    seconds: u32,
) -> Message {
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = code;
    answer.add_queries(question.queries.first().cloned());
    if let Some(query) = question.queries.first() {
        answer.add_answers(addresses.iter().map(|address| {
            let data = RData::A(A(*address));
            Record::from_rdata(query.name().clone(), seconds, data)
        }));
    }
    answer
}

#[cfg(test)]
mod tests {
    use agentopia_domain::egress::Destinations;
    use hickory_proto::op::Query;
    use hickory_proto::rr::Name;

    use super::*;

    fn policy() -> Egress {
        let list = [
            "api.example.com:443",
            "*.below.test:80",
            "10.20.0.0/16:5432",
        ];
        Egress::Allow {
            to: Destinations::parse(list).unwrap(),
        }
    }

    fn question(name: &str, kind: RecordType) -> Message {
        asking(Name::from_ascii(name).unwrap(), kind)
    }

    fn asking(name: Name, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.add_query(Query::query(name, kind));
        message
    }

    fn decide(name: &str, kind: RecordType) -> Decision {
        super::decide(&policy(), &question(name, kind))
    }

    #[test]
    fn only_addresses_of_the_policys_names_are_asked_for() {
        let Decision::Ask { name, ports } = decide("API.Example.COM.", RecordType::A) else {
            panic!("it is in the policy")
        };
        assert_eq!(name, "api.example.com");
        assert_eq!(Vec::from_iter(ports), [(PortProtocol::Tcp, 443)]);
        assert!(matches!(
            decide("a.b.below.test.", RecordType::A),
            Decision::Ask { .. }
        ));
        let nothing = Decision::Say(ResponseCode::NoError);
        for kind in [
            RecordType::AAAA,
            RecordType::TXT,
            RecordType::NULL,
            RecordType::ANY,
            RecordType::HTTPS,
        ] {
            assert_eq!(decide("api.example.com.", kind), nothing, "{kind}");
        }
        let no = Decision::Say(ResponseCode::NXDomain);
        for name in [
            "example.com.",
            "secret.api.example.com.",
            "below.test.",
            "api.example.com.evil.test.",
            "10.20.0.1.",
            ".",
        ] {
            assert_eq!(decide(name, RecordType::A), no, "{name}");
        }
        // On the wire a label can hold anything.
        for label in [&b"a.b"[..], b"a b", b"a\0b", b"\xff"] {
            let name = Name::from_labels([label, b"below", b"test"]).unwrap();
            assert_eq!(super::decide(&policy(), &asking(name, RecordType::A)), no);
        }
        for closed in [Egress::None, Egress::Open] {
            assert_eq!(
                super::decide(&closed, &question("api.example.com.", RecordType::A)),
                no
            );
        }
    }

    #[test]
    fn what_is_no_plain_question_is_not_asked() {
        let with = |change: fn(&mut Message)| {
            let mut message = question("api.example.com.", RecordType::A);
            change(&mut message);
            super::decide(&policy(), &message)
        };
        let response = with(|it| it.metadata.message_type = MessageType::Response);
        assert_eq!(response, Decision::Silence);
        let update = with(|it| it.metadata.op_code = OpCode::Update);
        assert_eq!(update, Decision::Say(ResponseCode::NotImp));
        let none = with(|it| it.queries.clear());
        assert_eq!(none, Decision::Say(ResponseCode::FormErr));
        let two = with(|it| it.queries.push(it.queries[0].clone()));
        assert_eq!(two, Decision::Say(ResponseCode::FormErr));
        let chaos = with(|it| {
            it.queries[0].set_query_class(DNSClass::CH);
        });
        assert_eq!(chaos, Decision::Say(ResponseCode::Refused));
    }

    #[test]
    fn a_name_does_not_lead_into_a_private_network() {
        let public = Ipv4Addr::new(93, 184, 216, 34);
        for bad in [
            "127.0.0.1",
            "169.254.169.254",
            "10.0.0.7",
            "192.168.1.1",
            "172.17.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "10.201.5.18",
        ] {
            let bad: Ipv4Addr = bad.parse().unwrap();
            assert_eq!(
                sift(&policy(), [bad, public]),
                (vec![public], Some(bad)),
                "{bad}"
            );
        }
        let named = Ipv4Addr::new(10, 20, 3, 4);
        assert_eq!(sift(&policy(), [named]), (vec![named], None));
        let all = Egress::Allow {
            to: Destinations::parse(["0.0.0.0/0:80"]).unwrap(),
        };
        for never in ["127.0.0.1", "169.254.169.254", "10.201.0.18"] {
            assert!(sift(&all, [never.parse().unwrap()]).0.is_empty(), "{never}");
        }
    }

    #[test]
    fn the_longest_answer_fits_into_every_programs_buffer() {
        let label = "x".repeat(63);
        let name = format!("{label}.{label}.{label}.{}.", "y".repeat(60));
        let question = question(&name, RecordType::A);
        let many = (0..100).map(|last| Ipv4Addr::new(93, 184, 216, last));
        let (addresses, _) = sift(&policy(), many);
        let bytes = answer(&question, ResponseCode::NoError, &addresses, 60)
            .to_vec()
            .unwrap();
        assert!(bytes.len() <= 512, "{}", bytes.len());
        let read = Message::from_vec(&bytes).unwrap();
        assert_eq!(
            (read.answers.len(), read.metadata.id),
            (MOST_ADDRESSES, question.metadata.id)
        );
    }
}
