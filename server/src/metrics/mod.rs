//! What is counted of requests, for `/metrics`: how many, and how long they took, by interface and command; and those that were
//! rejected, by reason.
//!
//! A connection of the line protocol carries out many commands in a round, which wait and are answered together; so they
//! are counted together, once a round, and each has the time of its round. Nothing is timed or shared for a single one.

mod histogram;
mod text;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use larder_protocol::{COMMANDS, Code, Verb};

use histogram::Histogram;
pub(crate) use text::render;

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interface {
    /// The line protocol.
    Lines,
    /// The project's own interface over HTTP.
    V1,
    /// The dialects.
    Hooklistener,
    Rocketstack,
    Kestra,
    /// What there is besides over HTTP, and what there is not.
    Http,
}

/// All of them, and the name that each is counted under.
const INTERFACES: [(Interface, &str); 6] = [
    (Interface::Lines, "lines"),
    (Interface::V1, "v1"),
    (Interface::Hooklistener, "hooklistener"),
    (Interface::Rocketstack, "rocketstack"),
    (Interface::Kestra, "kestra"),
    (Interface::Http, "http"),
];

/// Where the routes of an interface begin; the first that fits counts.
const ROUTES: [(&str, Interface); 5] = [
    ("/v1", Interface::V1),
    // A tenant of Kestra may be called so.
    ("/api/v1/datastore/namespaces/", Interface::Kestra),
    ("/api/v1/datastore", Interface::Hooklistener),
    ("/api/v1", Interface::Kestra),
    ("/kv", Interface::Rocketstack),
];

impl Interface {
    /// That of a route.
    pub(crate) fn of_route(route: &str) -> Interface {
        let within = |start: &str| {
            let ends = |rest: &str| rest.is_empty() || rest.starts_with('/') || start.ends_with('/');
            route.strip_prefix(start).is_some_and(ends)
        };
        ROUTES.iter().find(|(start, _)| within(start)).map_or(Interface::Http, |(_, interface)| *interface)
    }
}

/// Reasons that only HTTP has for rejecting a request; the rest are the codes of the line protocol.
const HTTP_REASONS: [&str; 6] = ["HOST", MALFORMED, "MEDIATYPE", "METHOD", "ORIGIN", "ROUTE"];
/// What was no request of HTTP.
pub(crate) const MALFORMED: &str = "MALFORMED";
/// Problems that say what is in the store, as the line protocol does without an error.
const ANSWERS: [&str; 7] = ["NIL", "PATH", "EXPIRED", "EXISTS", "VERSION", "ABSENT", "CHECK"];

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    interfaces: [OfInterface; INTERFACES.len()],
}

#[derive(Debug)]
struct OfInterface {
    /// By verb.
    commands: [Histogram; COMMANDS.len()],
    /// By code, and then by those that only HTTP has.
    rejected: [AtomicU64; Code::ALL.len() + HTTP_REASONS.len()],
}

impl Default for OfInterface {
    fn default() -> OfInterface {
        OfInterface {
            commands: std::array::from_fn(|_| Histogram::default()),
            rejected: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Metrics {
    /// Commands were carried out together.
    pub(crate) fn carried_out(
        &self,
        interface: Interface,
        verbs: impl Iterator<Item = Verb>,
        took: Duration,
    ) {
        let mut counts = [0; COMMANDS.len()];
        verbs.for_each(|verb| counts[verb as usize] += 1);
        let commands = &self.interfaces[interface as usize].commands;
        for (histogram, count) in commands.iter().zip(counts).filter(|(_, count)| *count > 0) {
            histogram.add(took, count);
        }
    }

    /// So many requests were rejected.
    pub(crate) fn rejected(&self, interface: Interface, code: Code, count: u64) {
        self.interfaces[interface as usize].rejected[code as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// A request over HTTP ended with a problem of that code.
    pub(crate) fn ended_with(&self, interface: Interface, code: &str) {
        if let Some(reason) = HTTP_REASONS.iter().position(|reason| *reason == code) {
            let at = Code::ALL.len() + reason;
            self.interfaces[interface as usize].rejected[at].fetch_add(1, Ordering::Relaxed);
        } else if !ANSWERS.contains(&code) {
            self.rejected(interface, Code::from_name(code).unwrap_or(Code::Internal), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_places_in_the_tables() {
        assert!(INTERFACES.iter().enumerate().all(|(at, (interface, _))| *interface as usize == at));
        assert!(COMMANDS.iter().enumerate().all(|(at, row)| row.verb as usize == at));
        assert!(Code::ALL.iter().enumerate().all(|(at, code)| *code as usize == at));
    }

    #[test]
    fn routes_lead_to_their_interfaces() {
        for (route, interface) in [
            ("/v1", Interface::V1),
            ("/v1/namespaces/{namespace}/count", Interface::V1),
            ("/v1x", Interface::Http),
            ("/api/v1/datastore/{namespace}", Interface::Hooklistener),
            ("/api/v1/datastore/namespaces", Interface::Hooklistener),
            ("/api/v1/datastore/namespaces/n/kv", Interface::Kestra),
            ("/api/v1/{tenant}/namespaces/{namespace}/kv", Interface::Kestra),
            ("/kv/items/{*key}", Interface::Rocketstack),
            ("/metrics", Interface::Http),
            ("-", Interface::Http),
        ] {
            assert_eq!(Interface::of_route(route), interface, "{route}");
        }
    }
}
