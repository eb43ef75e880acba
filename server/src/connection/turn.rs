//! A turn: the run of commands that a connection takes from its input before others have their turn.
//!
//! It is bounded by a weight, in which a command counts for the entries that it may touch, so that no connection
//! holds the store's lock for long, however much it sends at once.

use std::borrow::Cow;

use larder_protocol::{Command, Limits, Lines, ParseError, Request, Secret, Verb, Watch, parse};

use crate::access::Grant;
use crate::command::lists;

/// Weight at which a turn is full.
const TURN_WEIGHT_MAX: usize = 256;

/// A command as it came, and where it acts unless it says otherwise.
#[derive(Debug)]
pub(super) struct Step<'c> {
    pub(super) request: Result<Request<'c>, ParseError>,
    /// Index into the namespaces of the turn.
    namespace: usize,
}

impl Step<'_> {
    /// Whether the command may change the store.
    pub(super) fn writes(&self) -> bool {
        self.request.as_ref().is_ok_and(|request| request.command.writes())
    }

    /// The command, if it is one.
    pub(super) fn verb(&self) -> Option<Verb> {
        self.request.as_ref().ok().map(|request| request.command.verb())
    }

    /// Whether the answer may name more than is usual, which takes memory before any of it is rendered.
    pub(super) fn lists(&self) -> bool {
        self.request.as_ref().is_ok_and(|request| lists(&request.command))
    }

    /// The namespace that a request acts in.
    pub(super) fn namespace<'t>(&'t self, request: &'t Request<'_>, namespaces: &'t Namespaces) -> &'t str {
        match &request.ns {
            Some(namespace) => namespace,
            None => &namespaces.0[self.namespace],
        }
    }
}

/// What comes after the commands of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next<'c> {
    /// The next turn.
    Turn,
    /// `SYNC`, which is to be answered once everything before it is durable.
    Sync,
    /// `BACKUP`, of that name, of everything before it at least.
    Backup(Cow<'c, str>),
    /// `DELPREFIX`, of that prefix in the namespace.
    Delprefix(Cow<'c, str>, Option<Cow<'c, str>>),
    /// `COMPACT`.
    Compact,
    /// `WATCH`, in the namespace that it names, of everything after everything before. Nothing but `QUIT` may follow.
    Watch(Watch<'c>, Option<Cow<'c, str>>),
    /// `AUTH`, or `HELLO` with a token: what comes next is another's, perhaps.
    Authenticate { token: Secret<'c>, greets: bool },
    /// `ORG` or `KEY`, after which what comes next may be judged in another way.
    Manage(Command<'c>),
    /// The end of the connection.
    Close,
}

impl Next<'_> {
    /// The command that it is, if it is one.
    pub(super) fn verb(&self) -> Option<Verb> {
        match self {
            Next::Turn | Next::Close => None,
            Next::Sync => Some(Verb::Sync),
            Next::Backup(_) => Some(Verb::Backup),
            Next::Delprefix(..) => Some(Verb::Delprefix),
            Next::Compact => Some(Verb::Compact),
            Next::Watch(..) => Some(Verb::Watch),
            Next::Authenticate { greets: true, .. } => Some(Verb::Hello),
            Next::Authenticate { greets: false, .. } => Some(Verb::Auth),
            Next::Manage(command) => Some(command.verb()),
        }
    }
}

/// The commands of one turn, in order.
#[derive(Debug)]
pub(super) struct Turn<'c> {
    pub(super) steps: Vec<Step<'c>>,
    pub(super) next: Next<'c>,
}

/// The connection's namespace: what it was at the start of the turn, and then after each `NS` in it.
#[derive(Debug)]
pub(super) struct Namespaces(Vec<String>);

impl Namespaces {
    pub(super) fn new() -> Namespaces {
        Namespaces(vec!["default".to_owned()])
    }

    /// Where the next command acts, unless it says otherwise.
    pub(super) fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// Forgets all but the last.
    fn settle(&mut self) {
        let last = self.0.len() - 1;
        self.0.drain(..last);
    }
}

impl<'c> Turn<'c> {
    /// Takes commands from `lines` until the turn is full. `None` if there are none left.
    pub(super) fn take(
        lines: &mut Lines<'c>,
        limits: &Limits,
        namespaces: &mut Namespaces,
        grant: &Grant,
        capacity: usize,
    ) -> Option<Turn<'c>> {
        namespaces.settle();
        let mut turn = Turn { steps: Vec::with_capacity(capacity), next: Next::Turn };
        let mut weight = 0;
        while turn.next == Next::Turn && weight < TURN_WEIGHT_MAX {
            let Some(line) = lines.next() else { break };
            let request = parse(line, limits);
            weight += request.as_ref().map_or(1, |request| weight_of(&request.command));
            turn.push(request, namespaces, grant);
        }
        (!turn.steps.is_empty() || turn.next != Next::Turn).then_some(turn)
    }

    fn push(&mut self, request: Result<Request<'c>, ParseError>, namespaces: &mut Namespaces, grant: &Grant) {
        let request = match request {
            Ok(Request { ns, command: Command::Watch(watch) }) => {
                self.next = Next::Watch(watch, ns);
                return;
            }
            Ok(Request { ns, command: Command::Delprefix { prefix, dry: false } }) => {
                self.next = Next::Delprefix(prefix, ns);
                return;
            }
            Ok(Request { command: command @ (Command::Org(_) | Command::Key(_)), .. }) => {
                self.next = Next::Manage(command);
                return;
            }
            Ok(Request { command: Command::Auth(token), .. }) => {
                self.next = Next::Authenticate { token, greets: false };
                return;
            }
            Ok(Request { command: Command::Hello { token: Some(token), .. }, .. }) => {
                self.next = Next::Authenticate { token, greets: true };
                return;
            }
            other => other,
        };
        match request.as_ref().map(|request| &request.command) {
            Ok(Command::Sync) => {
                self.next = Next::Sync;
                return;
            }
            Ok(Command::Backup { name }) => {
                self.next = Next::Backup(name.clone());
                return;
            }
            Ok(Command::Compact) => {
                self.next = Next::Compact;
                return;
            }
            Ok(Command::Quit) => self.next = Next::Close,
            // One that is refused changes nothing.
            Ok(Command::Ns(Some(namespace))) if grant.may_enter(namespace) => {
                namespaces.0.push(namespace.clone().into_owned());
            }
            _ => {}
        }
        self.steps.push(Step { request, namespace: namespaces.0.len() - 1 });
    }
}

fn weight_of(command: &Command<'_>) -> usize {
    match command {
        Command::Mget { keys } | Command::Exists { keys } => keys.len(),
        Command::List(list) => list.limit,
        Command::Namespaces { limit, .. } => *limit,
        // Looked up twice: once to prepare it, and once to carry it out.
        Command::Incr(_) => 2,
        Command::Patch(_) => 4,
        Command::Txn(transaction) => transaction.checks.len() + transaction.operations.len() + 1,
        // It may have to look at a whole namespace.
        Command::Count { .. } | Command::Delprefix { .. } => TURN_WEIGHT_MAX,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Organization, Scope};
    use larder_protocol::lines;
    use std::sync::Arc;

    fn grant() -> Grant {
        Grant::without_key(Arc::new(Organization::default()), Scope::Admin)
    }

    fn turns(chunk: &str) -> Vec<(usize, Next<'_>)> {
        let mut lines = lines(chunk.as_bytes());
        let mut namespaces = Namespaces::new();
        let next = || Turn::take(&mut lines, &Limits::DEFAULT, &mut namespaces, &grant(), 16);
        std::iter::from_fn(next).map(|turn| (turn.steps.len(), turn.next)).collect()
    }

    #[test]
    fn a_turn_ends_when_it_is_full() {
        assert_eq!(turns(""), []);
        assert_eq!(turns("\n\n"), []);
        let chunk = "PING\n".repeat(TURN_WEIGHT_MAX + 1);
        assert_eq!(turns(&chunk), [(TURN_WEIGHT_MAX, Next::Turn), (1, Next::Turn)]);
        assert_eq!(turns("GET a\nLIST limit=10000\nGET b\n"), [(2, Next::Turn), (1, Next::Turn)]);
        assert_eq!(turns("COUNT\nCOUNT\nGET b\n"), [(1, Next::Turn), (1, Next::Turn), (1, Next::Turn)]);
    }

    #[test]
    fn a_command_weighs_what_it_costs() {
        let turn_of = |line: &str| turns(&line.repeat(TURN_WEIGHT_MAX)).first().map(|(steps, _)| *steps);
        assert_eq!(turn_of("INCR a\n"), Some(TURN_WEIGHT_MAX / 2));
        assert_eq!(turn_of("PATCH a {}\n"), Some(TURN_WEIGHT_MAX / 4));
        let check = r#"{"key":"a","version":1}"#;
        let checks = [check; 40].join(",");
        let operations = [r#"["del","a"]"#; 23].join(",");
        let transaction = format!("TXN {{\"check\":[{checks}],\"ops\":[{operations}]}}\n");
        assert_eq!(turn_of(&transaction), Some(TURN_WEIGHT_MAX / 64));
    }

    #[test]
    fn sync_backup_watch_and_quit_end_a_turn() {
        assert_eq!(turns("SYNC\nPING\n"), [(0, Next::Sync), (1, Next::Turn)]);
        assert_eq!(turns("PING\nBACKUP b\nPING\n"), [(1, Next::Backup("b".into())), (1, Next::Turn)]);
        assert_eq!(turns("nonsense\nSYNC\nQUIT\n"), [(1, Next::Sync), (1, Next::Close)]);
        assert_eq!(turns("PING\nCOMPACT\nPING\n"), [(1, Next::Compact), (1, Next::Turn)]);
        let next = Next::Delprefix("a".into(), Some("n".into()));
        assert_eq!(turns("PING\nDELPREFIX a ns=n\nPING\n"), [(1, next), (1, Next::Turn)]);
        assert_eq!(turns("PING\nDELPREFIX a dry=1\nPING\n"), [(2, Next::Turn), (1, Next::Turn)]);
        let org = Next::Manage(Command::Org(larder_protocol::Org::List));
        assert_eq!(turns("PING\nORG list\nPING\n"), [(1, org), (1, Next::Turn)]);
        let auth = |greets| Next::Authenticate { token: Secret("t".into()), greets };
        assert_eq!(turns("AUTH t\nHELLO\nHELLO token=t\n"), [(0, auth(false)), (1, auth(true))]);
        let watch = Watch { prefix: "a".into(), all: false, from: Some(3), values: false };
        let next = Next::Watch(watch, Some("n".into()));
        assert_eq!(turns("PING\nWATCH prefix=a from=3 ns=n\n"), [(1, next)]);
    }

    #[test]
    fn ns_counts_from_its_line_on() {
        let mut lines = lines(b"GET a\nNS b\nGET a\nGET a ns=c\n");
        let mut namespaces = Namespaces::new();
        let turn = Turn::take(&mut lines, &Limits::DEFAULT, &mut namespaces, &grant(), 16).unwrap();
        let named: Vec<_> = turn
            .steps
            .iter()
            .map(|step| step.namespace(step.request.as_ref().unwrap(), &namespaces))
            .collect();
        assert_eq!(named, ["default", "b", "b", "c"]);
    }

    #[test]
    fn ns_counts_for_nothing_where_it_is_refused() {
        let mut namespaces = Namespaces::new();
        let turn =
            Turn::take(&mut lines(b"NS b\nGET a\n"), &Limits::DEFAULT, &mut namespaces, &Grant::nobody(), 16);
        assert_eq!(turn.unwrap().steps.len(), 2);
        assert_eq!(namespaces.last(), "default");
    }
}
