//! Verbs, and the client library, against a server that speaks TLS.

use std::fs;

use larder_client::{Client, Options, Tls, blocking};

use super::{end, verb};
use crate::tls::Fixture;

#[test]
fn verbs_connect_by_tls() {
    let fixture = Fixture::new();
    let server = fixture.start();
    let (addr, ca) = (server.address.to_string(), fixture.path("cert.pem"));
    let run = |arguments: &[&str]| end(verb().args(arguments).args(["--addr", &addr]), "");
    let ca = ca.to_str().unwrap();
    let tls = ["--tls-ca", ca, "--tls-name", "localhost"];
    assert_eq!(run(&[&["set", "a", "1"], &tls[..]].concat()).code, 0);
    assert_eq!(run(&[&["get", "a"], &tls[..]].concat()).stdout, "1\n");
    // The certificate is not one of 127.0.0.1.
    run(&["get", "a", "--tls-ca", ca]).refuses(3, "--tls-name");
    run(&["get", "a", "--tls-ca", ca, "--tls-name", "not a name"]).refuses(3, "not a name");
    run(&["get", "a"]).refuses(3, "TLS");
    let key = fixture.path("key.pem");
    run(&["get", "a", "--tls-ca", key.to_str().unwrap()]).refuses(2, "no certificate");
    run(&["get", "a", "--tls-ca", "/nowhere/ca.pem"]).refuses(2, "/nowhere/ca.pem");

    let shell = end(verb().arg("shell").args(tls).args(["--addr", &addr]), "GET a\n");
    assert_eq!((shell.code, shell.stdout.as_str()), (0, "VAL 1 - 1\n"), "{shell:?}");
    let data = fixture.path("data");
    let doctor = run(&[&["doctor", "--data", data.to_str().unwrap()], &tls[..]].concat());
    assert!(doctor.stdout.contains("answers, version"), "{doctor:?}");
    let serve = end(verb().args(["serve", "--tls-ca", ca]), "");
    serve.refuses_usage("`larder serve` has no option --tls-ca");
}

#[test]
fn clients_connect_by_tls() {
    let fixture = Fixture::new();
    let server = fixture.start();
    let tls = Tls::trusting(&fs::read(fixture.path("cert.pem")).unwrap()).unwrap().server_name("localhost");
    let options = Options { tls: Some(tls), ..Options::default() };
    let large = format!("\"{}\"", "x".repeat(1_000_000));
    let client = blocking::Client::connect_with(server.address, &options).unwrap();
    assert_eq!(client.set("large", &large).unwrap().done().unwrap().version, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect_with(server.address, &options).await.unwrap();
        assert_eq!(client.get("large").await.unwrap().unwrap().json, large);
    });
}
