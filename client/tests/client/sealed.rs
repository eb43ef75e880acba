//! TLS, against a peer that speaks it.

use std::net::TcpStream;
use std::sync::Arc;

use larder_client::request::{Get, Ping, Set, Watch};
use larder_client::{Error, Options, Tls, TlsError};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::kept::{Kept, options};
use super::peer::Step::{self, Await, Greet, Hear, Say};
use super::peer::{Peer, accept, follow};

/// A certificate of that name, in PEM, and what a server does with it.
fn certificate(name: &str) -> (String, Arc<ServerConfig>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (cert.pem(), Arc::new(config))
}

fn sealed(config: &Arc<ServerConfig>, stream: TcpStream) -> StreamOwned<ServerConnection, TcpStream> {
    StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), stream)
}

fn trusting(pem: &str, name: Option<&str>) -> Options {
    let tls = Tls::trusting(pem.as_bytes()).unwrap();
    let tls = match name {
        Some(name) => tls.server_name(name),
        None => tls,
    };
    Options { tls: Some(tls), ..options() }
}

#[test]
fn everything_goes_over_tls_and_is_made_anew_so_too() {
    let large = format!("\"{}\"", "x".repeat(300_000));
    let heard: &'static str = format!("SET k {large}\n").leak();
    let said: &'static str = format!("VAL 1 - {large}\n").leak();
    for connect in [Kept::blocking, Kept::tokio] {
        let (pem, config) = certificate("127.0.0.1");
        let peer = Peer::listening(move |listener| {
            let scripts: [&[Step]; 4] = [
                &[Greet, Hear(heard), Say("OK 1 -\n"), Hear("GET k\n"), Say("VAL")],
                &[Greet, Hear("GET k\n"), Say(said)],
                &[Greet, Hear("WATCH\n"), Say("OK 4\n")],
                &[Greet, Hear("WATCH from=4\n"), Say("ERR COMPACTED 9 is the lowest\n"), Await],
            ];
            for script in scripts {
                let mut stream = sealed(&config, accept(listener));
                script.iter().for_each(|step| follow(step, &mut stream));
            }
        });
        let client = connect(peer.addr, &trusting(&pem, None));
        assert_eq!(client.call(&Set::new("k", &large)).unwrap().done().unwrap().version, 1);
        assert_eq!(client.call(&Get::new("k")).unwrap().unwrap().json, large);
        let (_, version, error) = client.watch(Watch::all()).unwrap();
        assert!(version == 4 && matches!(error, Error::Compacted { floor: 9, .. }), "{error:?}");
        drop(client);
        peer.finish();
    }
}

#[test]
fn only_whom_is_trusted_is_talked_to() {
    let (pem, config) = certificate("larder.example");
    let (other, _) = certificate("larder.example");
    for connect in [Kept::blocking, Kept::tokio] {
        let config = config.clone();
        let peer = Peer::listening(move |listener| {
            let mut stream = sealed(&config, accept(listener));
            [Greet, Hear("PING\n"), Say("OK\n"), Await].iter().for_each(|step| follow(step, &mut stream));
            for _ in 0..2 {
                let mut stream = sealed(&config, accept(listener));
                follow(&Await, &mut stream);
            }
        });
        connect(peer.addr, &trusting(&pem, Some("larder.example"))).call(&Ping).unwrap();
        // A certificate of another name, and one that nobody has vouched for.
        for options in [trusting(&pem, None), trusting(&other, Some("larder.example"))] {
            let error = connect(peer.addr, &options).call(&Ping).unwrap_err();
            assert!(matches!(error, Error::Connect { .. }), "{error:?}");
            assert!(!error.is_retryable() && error.to_string().contains("certificate"), "{error}");
        }
        peer.finish();
    }
}

#[test]
fn what_are_no_certificates() {
    assert!(matches!(Tls::trusting(b"nothing"), Err(TlsError::Empty)));
    assert!(matches!(Tls::trusting(b"-----BEGIN CERTIFICATE-----\n!\n"), Err(TlsError::Pem(_))));
    let no_certificate = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(matches!(Tls::trusting(no_certificate), Err(TlsError::Unusable(_))));
    let (pem, _) = certificate("localhost");
    let client = Kept::blocking("127.0.0.1:1".parse().unwrap(), &trusting(&pem, Some("not a name")));
    assert!(!client.call(&Ping).unwrap_err().is_retryable());
}
