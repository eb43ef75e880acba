//! The clients against scripted peers: both shells go through the same scripts.

#[cfg(test)]
mod client {
    mod answers;
    mod authentication;
    mod faults;
    mod peer;
    mod pipelining;
    mod requests;
    mod shell;
    mod watching;
}
