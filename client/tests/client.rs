//! Connections and clients against scripted peers: async and blocking ones go through the same scripts.

#[cfg(test)]
mod client {
    mod answers;
    mod authentication;
    mod clients;
    mod faults;
    mod kept;
    mod peer;
    mod pipelining;
    mod repeating;
    mod requests;
    mod sealed;
    mod shell;
    mod watching;
}
