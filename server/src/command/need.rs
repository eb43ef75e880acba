//! What a command takes of the client's grant.

use larder_protocol::{Class, Command, Verb};

use crate::access::Need;

/// What a command needs, by its row.
#[inline]
pub(crate) fn need_of(verb: Verb) -> Need {
    let row = verb.row();
    match row.class {
        Class::Open => Need::Nothing,
        // It changes the connection alone, and is carried out before it is answered.
        Class::Data if verb == Verb::Ns => Need::Enter,
        Class::Data if row.writes => Need::Write,
        Class::Data => Need::Read,
        Class::Admin => Need::Manage,
    }
}

/// The namespace that a command is about, if it is about one; `namespace` is where it acts.
#[inline]
pub(crate) fn namespace_of<'t>(command: &'t Command<'_>, namespace: &'t str) -> Option<&'t str> {
    match command {
        Command::Ns(named) => named.as_deref(),
        // Of what is told about other namespaces, those that the key is not for are left out.
        Command::Watch(watch) if watch.all => None,
        // Each of its checks and operations has one, and is looked at by itself.
        Command::Txn(_) => None,
        command => command.verb().row().takes_namespace.then_some(namespace),
    }
}
