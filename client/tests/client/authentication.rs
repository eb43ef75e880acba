//! Connecting with a token.

use larder_client::request::Ping;
use larder_client::{Code, Connection, Error, Options, blocking};

use super::peer::{Peer, Step};
use super::shell::{both_with, options};

fn with_token() -> Options {
    Options { token: Some("lk_1_secret".into()), ..options() }
}

#[test]
fn a_token_goes_first_and_is_not_shown() {
    let hello =
        "OK {\"server\":\"larder\",\"version\":\"0.1.0\",\"protocol\":1,\"durability\":\"durable\"}\n";
    let steps =
        [Step::Hear("HELLO token=lk_1_secret\n"), Step::Say(hello), Step::Hear("PING\n"), Step::Say("OK\n")];
    both_with(&with_token(), &steps, |shell| shell.call(&Ping).unwrap());
    assert!(!format!("{:?}", with_token()).contains("secret"));
}

#[test]
fn a_token_that_is_refused_makes_no_connection() {
    let refuses =
        || Peer::following(vec![Step::Hear("HELLO token=lk_1_secret\n"), Step::Say("ERR NOAUTH no\n")]);
    let peer = refuses();
    let refused = blocking::Connection::connect_with(peer.addr, &with_token()).map(drop);
    assert_eq!(refused.as_ref().err().and_then(Error::code), Some(Code::NoAuth), "{refused:?}");
    peer.finish();
    let peer = refuses();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let refused = runtime.block_on(Connection::connect_with(peer.addr, &with_token())).map(drop);
    assert_eq!(refused.as_ref().err().and_then(Error::code), Some(Code::NoAuth), "{refused:?}");
    peer.finish();
}
