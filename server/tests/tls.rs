//! TLS on the port: certificates made for the test, and clients that trust nothing else.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};
use std::sync::Arc;

use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustix::process::Signal;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::support::{PATIENCE, Server, serve_in};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A directory with a certificate and its key, and room for the data.
pub(crate) struct Fixture {
    directory: TempDir,
    certificate: CertificateDer<'static>,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        let directory = tempfile::tempdir().unwrap();
        let certificate = write_pair(directory.path());
        Fixture { directory, certificate }
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = serve_in(&self.path("data"));
        command.arg("--tls-cert").arg(self.path("cert.pem")).arg("--tls-key").arg(self.path("key.pem"));
        command
    }

    pub(crate) fn start(&self) -> Server {
        Server::spawn(self.command().arg("--log=error"))
    }

    fn connect(&self, server: &Server) -> Client {
        Client::open(server.address, &self.certificate, &TLS13).unwrap()
    }
}

/// Writes a new certificate for `localhost` and its key.
fn write_pair(directory: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(directory.join("cert.pem"), cert.pem()).unwrap();
    fs::write(directory.join("key.pem"), signing_key.serialize_pem()).unwrap();
    cert.der().clone()
}

/// A connection whose server has the one certificate that it trusts.
struct Client(BufReader<Stream>);

impl Client {
    fn open(
        address: SocketAddr,
        trusted: &CertificateDer<'static>,
        version: &'static SupportedProtocolVersion,
    ) -> std::io::Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut session = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let mut tcp = TcpStream::connect(address)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        tcp.set_nodelay(true)?;
        while session.is_handshaking() {
            session.complete_io(&mut tcp)?;
        }
        Ok(Client(BufReader::new(StreamOwned::new(session, tcp))))
    }

    fn session(&mut self) -> &mut ClientConnection {
        &mut self.0.get_mut().conn
    }

    fn send(&mut self, text: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(text.as_ref()).unwrap();
        self.0.get_mut().flush().unwrap();
    }

    fn reply(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.strip_suffix('\n').expect("the server has closed the connection").to_owned()
    }

    fn ask(&mut self, request: &str) -> String {
        self.send(format!("{request}\n"));
        self.reply()
    }

    /// Ends the input as TLS does, and reads what still comes.
    fn finish(mut self) -> String {
        self.session().send_close_notify();
        self.0.get_mut().flush().unwrap();
        let mut rest = String::new();
        self.0.read_to_string(&mut rest).unwrap();
        rest
    }
}

/// Waits for a line of the log with these words.
fn wait_for_log(log: &mut BufReader<ChildStderr>, words: &str) -> String {
    loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "the log has ended without {words:?}");
        if line.contains(words) {
            return line;
        }
    }
}

#[test]
fn both_versions_are_spoken() {
    let fixture = Fixture::new();
    let server = fixture.start();
    assert!(server.startup.contains("(line protocol, TLS)"), "{}", server.startup);
    for (number, version) in [&TLS12, &TLS13].into_iter().enumerate() {
        let mut client = Client::open(server.address, &fixture.certificate, version).unwrap();
        assert_eq!(client.session().protocol_version(), Some(version.version));
        let large = format!("\"{}\"", "x".repeat(1_000_000));
        let version = number * 2 + 1;
        assert_eq!(client.ask(&format!("SET large {large}")), format!("OK {version} -"));
        assert_eq!(client.ask("GET large"), format!("VAL {version} - {large}"));
        client.send("GET large\n".repeat(20));
        (0..20).for_each(|_| assert_eq!(client.reply().len(), large.len() + 8));
        client.send("SET a 1\nGET a\nWATCH from=0 prefix=a\n");
        let version = version + 1;
        assert_eq!(client.reply(), format!("OK {version} -"));
        assert_eq!(client.reply(), format!("VAL {version} - 1"));
        assert_eq!(client.reply(), "OK 0");
        assert!(client.reply().starts_with("EVT set 2 default a -"));
    }
}

#[test]
fn many_requests_at_once_and_the_end_of_input_after_them() {
    let fixture = Fixture::new();
    let server = fixture.start();
    let mut client = fixture.connect(&server);
    client.send((0..5_000).map(|number| format!("SET k{number} {number}\n")).collect::<String>());
    let rest = client.finish();
    assert_eq!(rest.lines().count(), 5_000);
    assert!(rest.lines().all(|line| line.starts_with("OK ")));
    let mut client = fixture.connect(&server);
    client.send("GET k1\nGET k2");
    let rest = client.finish();
    let lines: Vec<_> = rest.lines().collect();
    assert!(lines[0].ends_with(" - 1") && lines[1].starts_with("ERR INCOMPLETE "), "{rest}");
    assert!(server.stop().success());
}

#[test]
fn the_certificate_is_read_again_on_sighup_if_it_is_good() {
    let fixture = Fixture::new();
    let mut server = Server::spawn(fixture.command().arg("--log=info").stderr(Stdio::piped()));
    let mut log = server.log();
    let mut before = fixture.connect(&server);
    assert_eq!(before.ask("SET a 1"), "OK 1 -");

    let renewed = write_pair(fixture.directory.path());
    server.signal(Signal::HUP);
    wait_for_log(&mut log, "new connections get the certificate as it is now");
    assert!(Client::open(server.address, &fixture.certificate, &TLS13).is_err());
    let mut after = Client::open(server.address, &renewed, &TLS13).unwrap();
    assert_eq!(after.ask("GET a"), "VAL 1 - 1");
    assert_eq!(before.ask("GET a"), "VAL 1 - 1");

    // A key that is another's, and then no certificate at all.
    fs::write(fixture.path("key.pem"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    for _ in 0..2 {
        server.signal(Signal::HUP);
        let line = wait_for_log(&mut log, "the certificate stays as it was");
        assert!(line.contains("cert.pem"), "{line}");
        let mut client = Client::open(server.address, &renewed, &TLS13).unwrap();
        assert_eq!(client.ask("GET a"), "VAL 1 - 1");
        fs::write(fixture.path("cert.pem"), "no certificate").unwrap();
    }
    assert!(server.stop().success());
}

#[test]
fn a_hang_up_without_a_certificate_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::spawn(serve_in(directory.path()).arg("--log=info").stderr(Stdio::piped()));
    server.signal(Signal::HUP);
    wait_for_log(&mut server.log(), "there is no certificate to be read again");
    assert_eq!(server.connect().ask("PING"), "OK");
}

#[test]
fn plain_text_on_a_tls_port_is_told() {
    let fixture = Fixture::new();
    let mut server = Server::spawn(fixture.command().arg("--log=info").stderr(Stdio::piped()));
    let mut plain = server.connect();
    plain.send("SET a 1\n");
    assert_eq!(plain.reply(), "ERR HTTP this port speaks TLS alone; connect with TLS");
    let line = wait_for_log(&mut server.log(), "speaks plain text");
    assert!(line.contains("127.0.0.1:"), "{line}");
    assert_eq!(fixture.connect(&server).ask("GET a"), "NIL");
}

#[test]
fn tls_on_a_plain_port_is_told() {
    let fixture = Fixture::new();
    let mut command = serve_in(&fixture.path("data"));
    let mut server = Server::spawn(command.arg("--log=info").stderr(Stdio::piped()));
    assert!(Client::open(server.address, &fixture.certificate, &TLS13).is_err());
    let line = wait_for_log(&mut server.log(), "speaks TLS");
    assert!(line.contains("--tls-cert"), "{line}");
    // The first byte is enough.
    let mut client = server.connect();
    client.send(b"\x16");
    assert!(client.reply().starts_with("ERR HTTP this port speaks no TLS"));
    assert_eq!(client.line(), None);
    assert_eq!(server.connect().ask("PING"), "OK");
}

#[test]
fn a_handshake_takes_a_place_and_has_a_deadline() {
    let fixture = Fixture::new();
    let mut command = fixture.command();
    command.args(["--log=error", "--max-connections=1", "--line-timeout=300ms"]);
    let server = Server::spawn(&mut command);
    // One says nothing, one begins and stops.
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut silent = TcpStream::connect(server.address).unwrap();
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        silent.write_all(beginning).unwrap();
        let mut rest = Vec::new();
        // It is closed, in whichever way.
        _ = silent.read_to_end(&mut rest);
    }
    let mut served = connect_when_free(&fixture, &server);
    let mut second = fixture.connect(&server);
    assert!(second.reply().starts_with("ERR TOOMANYCONN "));
    assert_eq!(served.ask("PING"), "OK");
}

/// A connection with a place, as soon as there is one.
fn connect_when_free(fixture: &Fixture, server: &Server) -> Client {
    loop {
        let mut client = fixture.connect(server);
        client.send("PING\n");
        match client.reply() {
            reply if reply == "OK" => return client,
            reply => assert!(reply.starts_with("ERR TOOMANYCONN "), "{reply}"),
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_told() {
    let fixture = Fixture::new();
    let refused = |command: &mut Command, words: &[&str]| {
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        output.status.code()
    };
    let mut half = serve_in(&fixture.path("data"));
    half.arg("--tls-cert").arg(fixture.path("cert.pem"));
    assert_eq!(refused(&mut half, &["tls-cert is set and tls-key is not"]), Some(2));
    let mut swapped = serve_in(&fixture.path("data"));
    swapped.env("LARDER_TLS_CERT", fixture.path("key.pem")).env("LARDER_TLS_KEY", fixture.path("key.pem"));
    assert_eq!(refused(&mut swapped, &["key.pem", "the certificate", "PEM"]), Some(1));
    fs::remove_file(fixture.path("key.pem")).unwrap();
    assert_eq!(refused(&mut fixture.command(), &["key.pem", "the private key", "No such file"]), Some(1));
    assert!(!fixture.path("data").exists());
}

/// Another implementation, where there is one.
#[test]
fn openssl_gets_on_with_it() {
    let fixture = Fixture::new();
    let server = fixture.start();
    let speak = |options: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-quiet", "-verify_return_error", "-connect"]);
        command.arg(server.address.to_string()).arg("-CAfile").arg(fixture.path("cert.pem"));
        command.args(["-servername", "localhost"]).args(options);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = child.inspect_err(|error| println!("skipped: no openssl: {error}")).ok()?;
        _ = child.stdin.take().unwrap().write_all(b"SET a 1\nGET a\nQUIT\n");
        Some(String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap())
    };
    for options in [&[][..], &["-tls1_3"], &["-tls1_2"]] {
        let Some(said) = speak(options) else { return };
        assert_eq!(said.lines().count(), 3, "{said}");
        assert!(said.ends_with(" - 1\nOK\n"), "{said}");
    }
    assert_eq!(speak(&["-tls1_1"]).unwrap(), "");
}

#[test]
fn http_is_spoken_by_the_same_certificate() {
    let fixture = Fixture::new();
    let server = fixture.start();
    let mut client = Client::open(server.http, &fixture.certificate, &TLS13).unwrap();
    client.send(
        "PUT /v1/namespaces/default/entries/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n1",
    );
    assert_eq!(client.reply(), "HTTP/1.1 200 OK\r");
    assert_eq!(fixture.connect(&server).ask("GET a"), "VAL 1 - 1");

    let mut plain = crate::support::Client::connect(server.http);
    plain.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(plain.reply(), "HTTP/1.1 400 Bad Request\r");
    while plain.reply() != "\r" {}
    assert_eq!(plain.reply(), "this port speaks TLS alone; use https://\r");
}
