//! A peer that follows a script and knows nothing of the protocol.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// One step of a peer.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Reads as many bytes as these, which must be these.
    Hear(&'static str),
    /// Says this at once.
    Say(&'static str),
    /// Says this one byte at a time, each in a packet of its own.
    Stammer(&'static str),
    /// Says this to a client that may go before it has heard all of it.
    Pour(&'static str),
    /// Says nothing until the client has gone.
    Await,
    /// Takes a client that introduces itself.
    Greet,
}

const GREETING: &str =
    "OK {\"server\":\"larder\",\"version\":\"0\",\"protocol\":1,\"durability\":\"durable\",\"limits\":{}}\n";

pub(super) struct Peer {
    pub(super) addr: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

impl Peer {
    /// A peer that takes one connection and closes it at the end of the script.
    pub(super) fn following(steps: Vec<Step>) -> Self {
        Self::acting(move |stream| steps.iter().for_each(|step| follow(step, stream)))
    }

    /// A peer that does this with its one connection.
    pub(super) fn acting(act: impl FnOnce(&mut TcpStream) + Send + 'static) -> Self {
        Self::listening(|listener| act(&mut accept(listener)))
    }

    /// A peer that takes one connection after the other, each with a script of its own, at whose end it is closed.
    pub(super) fn serving(scripts: Vec<Vec<Step>>) -> Self {
        Self::listening(move |listener| {
            for script in scripts {
                let mut stream = accept(listener);
                script.iter().for_each(|step| follow(step, &mut stream));
            }
        })
    }

    /// A peer that does this.
    pub(super) fn listening(act: impl FnOnce(&TcpListener) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        Self { addr, thread: Some(thread::spawn(move || act(&listener))) }
    }

    /// Waits for the end of the script. What the peer found wrong fails the test.
    pub(super) fn finish(mut self) {
        self.thread.take().unwrap().join().unwrap();
    }
}

pub(super) fn accept(listener: &TcpListener) -> TcpStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream
}

/// Does one step.
pub(super) fn follow(step: &Step, stream: &mut (impl Read + Write)) {
    match step {
        Step::Greet => {
            follow(&Step::Hear("HELLO\n"), stream);
            follow(&Step::Say(GREETING), stream);
        }
        Step::Hear(text) => {
            let mut heard = vec![0; text.len()];
            stream.read_exact(&mut heard).unwrap();
            assert_eq!(String::from_utf8_lossy(&heard), *text);
        }
        Step::Say(text) => {
            stream.write_all(text.as_bytes()).unwrap();
            stream.flush().unwrap();
        }
        Step::Pour(text) => _ = stream.write_all(text.as_bytes()),
        Step::Stammer(text) => {
            for byte in text.bytes() {
                stream.write_all(&[byte]).unwrap();
                thread::sleep(Duration::from_micros(50));
            }
        }
        Step::Await => {
            // A client that goes without having read everything resets the connection, which is as good an end.
            let _ = stream.read_to_end(&mut Vec::new());
        }
    }
}
