//! What one client may, for as long as it is there: kept up with every change, and looked up at no cost while there is none.

use std::sync::Arc;

use tokio::sync::watch;

use super::grant::Grant;
use super::key::KeyId;
use super::registry::Registry;
use super::scope::Scope;

/// See the module.
#[derive(Debug)]
pub(crate) struct Session {
    registry: Arc<Registry>,
    news: watch::Receiver<()>,
    identity: Identity,
    grant: Arc<Grant>,
}

/// Who the client is.
#[derive(Debug, Clone, Copy)]
enum Identity {
    /// Has shown no key; has this scope where there are no keys.
    Unknown(Option<Scope>),
    /// Has proven this one.
    Key(KeyId),
}

impl Session {
    /// Of a client that has shown no key yet. Where there are none it has this scope.
    pub(crate) fn new(registry: Arc<Registry>, without_key: Option<Scope>) -> Session {
        let news = registry.subscribe();
        let identity = Identity::Unknown(without_key);
        let grant = Arc::new(grant_of(&registry, identity));
        Session { registry, news, identity, grant }
    }

    /// What it may, as of the last [`refresh`](Session::refresh).
    pub(crate) fn grant(&self) -> &Arc<Grant> {
        &self.grant
    }

    /// Whether anything has changed since; one look at one number.
    #[inline]
    pub(crate) fn is_stale(&self) -> bool {
        // The registry, and with it the sender, is there as long as this.
        self.news.has_changed().unwrap_or(true)
    }

    /// Keeps up with what has changed.
    #[inline]
    pub(crate) fn refresh(&mut self) {
        if self.is_stale() {
            self.look_up();
        }
    }

    #[cold]
    fn look_up(&mut self) {
        // Marked before it is looked up: what changes meanwhile is seen the next time.
        self.news.mark_unchanged();
        self.grant = Arc::new(grant_of(&self.registry, self.identity));
    }

    /// Takes on what a token allows. False if it is none that counts; then everything is as before.
    pub(crate) fn authenticate(&mut self, token: &str) -> bool {
        self.news.mark_unchanged();
        let proven = self.registry.authenticate(token);
        match proven {
            Some((id, grant)) => {
                self.identity = Identity::Key(id);
                self.grant = Arc::new(grant);
                true
            }
            None => {
                self.grant = Arc::new(grant_of(&self.registry, self.identity));
                false
            }
        }
    }

    /// A notice of the next change.
    pub(crate) fn news(&self) -> impl Future<Output = ()> + use<> {
        let mut news = self.news.clone();
        // An error would say that the registry is gone, and with it the server.
        async move { _ = news.changed().await }
    }

    pub(crate) fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The time by which keys expire.
    pub(crate) fn now_ms(&self) -> u64 {
        self.registry.now_ms()
    }
}

fn grant_of(registry: &Registry, identity: Identity) -> Grant {
    let grant = match identity {
        Identity::Unknown(scope) => scope.and_then(|scope| registry.grant_without_key(scope)),
        Identity::Key(id) => registry.grant(id),
    };
    grant.unwrap_or_else(Grant::nobody)
}
